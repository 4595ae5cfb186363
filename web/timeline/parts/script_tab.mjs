// @ts-check
/** The script of the timeline as text, in step with the lanes both ways, its faults underlined where they are. */
import { element } from "../view/style.mjs";

const SOON = 500; // ms after the last letter until a step of undo
const LONG = 20000; // characters from which reading waits for a pause
const MOST = 500000; // characters that a text field of the browser still handles well

export class ScriptTab {
  /** @param {import("../editing/editor.mjs").Editor} editor @param {import("./i18n.mjs").Translate} words */
  constructor(editor, words) {
    this.editor = editor;
    this.words = words;
    this.area = element("textarea", {
      spellcheck: "false",
      autocomplete: "off",
      autocorrect: "off",
      autocapitalize: "off",
      wrap: "soft",
      "aria-label": words("tab.script"),
      placeholder: words("script.hint"),
      "aria-describedby": "",
    });
    this.back = element("pre", { "aria-hidden": "true" });
    this.messages = element("div", { class: "mg-messages", role: "status", "aria-live": "polite" });
    this.root = element(
      "div",
      { class: "mg-script", hidden: true },
      element("div", { class: "mg-editor" }, this.back, this.area),
      this.messages,
    );
    this.timer = 0;
    this.written = "";
    this.unread = false; // there are letters that the timeline does not have yet
    editor.endings.push(() => this.settle());
    this.area.addEventListener("input", () => this.typed());
    this.area.addEventListener("paste", (event) => this.pasted(event));
    this.area.addEventListener("scroll", () => (this.back.scrollTop = this.area.scrollTop));
    this.area.addEventListener("blur", () => this.settle());
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.area.blur();
    });
    this.root.addEventListener("pointerdown", (event) => event.stopPropagation());
  }

  get shown() {
    return !this.root.hidden;
  }

  /** @param {boolean} on */
  show(on) {
    this.settle();
    this.root.hidden = !on;
    if (!on) return;
    this.refresh();
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
  }

  /**
   * Refuse what would make the field unusable; what is written stays, and so does the clipboard.
   * @param {ClipboardEvent} event
   */
  pasted(event) {
    event.stopPropagation();
    const size = event.clipboardData?.getData("text/plain").length ?? 0;
    if (size + this.area.value.length <= MOST) return;
    event.preventDefault();
    this.messages.replaceChildren(
      element(
        "div",
        { class: "mg-bad" },
        this.words("paste.long", { size: size.toLocaleString(), most: MOST.toLocaleString() }),
      ),
    );
  }

  typed() {
    window.clearTimeout(this.timer);
    this.unread = true;
    const { value } = this.area;
    if (value.length <= LONG) this.read();
    else this.timer = window.setTimeout(() => this.read(), SOON);
    if (value.length <= LONG) this.timer = window.setTimeout(() => this.editor.commit(), SOON);
  }

  /** Take the text over into the timeline. */
  read() {
    this.unread = false;
    this.editor.setScript(this.area.value);
    if (this.area.value.length > LONG) this.editor.commit();
    this.underline();
  }

  /** Make what was typed a step of undo. */
  settle() {
    window.clearTimeout(this.timer);
    this.unread = false;
    if (!this.shown || this.area.readOnly || this.area.value === this.written) return;
    if (this.area.value !== this.editor.script) this.editor.setScript(this.area.value);
    this.editor.commit();
    this.written = this.area.value;
  }

  /** Show the timeline's script, unless the user is writing it. */
  refresh() {
    if (
      !this.shown ||
      this.unread ||
      (document.activeElement === this.area && this.editor.doc.source?.text === this.area.value)
    )
      return;
    const { script } = this.editor;
    const shown = script.length > MOST ? `${script.slice(0, MOST)}…` : script;
    this.area.readOnly = shown !== script || this.tooLong;
    if (shown !== this.area.value) this.area.value = shown;
    this.written = shown;
    this.underline();
  }

  /** Whether the lanes hold more than a script may say: they are then shown, but not read back. */
  get tooLong() {
    const { doc, script } = this.editor;
    return !doc.source && this.editor.readScript(script).error?.code === "too-much-text";
  }

  underline() {
    const text = this.area.value;
    if (this.area.readOnly) {
      this.back.replaceChildren();
      this.area.setAttribute("aria-invalid", "false");
      this.messages.replaceChildren(element("div", {}, this.words("script.toolong")));
      return;
    }
    const { error, warnings } = this.editor.readScript(text);
    const notes = error
      ? [{ ...error, message: error.reason, bad: true }]
      : warnings.map((w) => ({ ...w, bad: false }));
    const lines = text.length > 200000 ? [] : text.split("\n");
    this.back.replaceChildren();
    let done = 0;
    for (const note of notes.sort((a, b) => a.line - b.line || a.column - b.column)) {
      if (note.line > lines.length) break;
      const line = lines.slice(0, note.line - 1).reduce((sum, l) => sum + l.length + 1, 0);
      const letters = [...lines[note.line - 1]];
      const from = line + letters.slice(0, note.column - 1).join("").length;
      const to = Math.max(from + 1, line + letters.slice(0, note.column - 1 + note.width).join("").length);
      if (from < done) continue;
      const marked = text.slice(from, to);
      this.back.append(
        text.slice(done, from),
        element("mark", { class: note.bad ? "mg-bad" : "mg-warn" }, marked.trim() ? marked : "  "),
      );
      done = to;
    }
    this.back.append(`${text.slice(done, done + 200000)}\n`);
    this.back.scrollTop = this.area.scrollTop;
    this.area.setAttribute("aria-invalid", String(Boolean(error)));
    this.messages.replaceChildren(...(error ? this.errorLines(error) : this.warningLines(warnings)));
  }

  /** @param {import("../../script/lexer.mjs").ScriptError} error */
  errorLines(error) {
    const place = `${error.line}:${error.column}  ${error.reason}`;
    const lines = [element("div", { class: "mg-bad" }, place)];
    if (error.hint) lines.push(element("div", {}, error.hint));
    lines.push(element("div", {}, this.words("script.error")));
    return lines;
  }

  /** @param {import("../../script/lexer.mjs").Note[]} warnings */
  warningLines(warnings) {
    if (!warnings.length) return [element("div", {}, this.words("script.lanes"))];
    return warnings.slice(0, 20).map((w) => element("div", {}, `⚠ ${w.line}:${w.column}  ${w.message}`));
  }
}
