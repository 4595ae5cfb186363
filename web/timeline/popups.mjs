// @ts-check
/** Small windows over the lanes: a question with one answer, a menu, the help. One at a time. */
import { CAMERA_LIMIT, CAMERA_UNIT_DEGREES } from "./variants.mjs";
import { element } from "./style.mjs";
import { HELP } from "./keys.mjs";

/** @typedef {import("./i18n.mjs").Translate} Translate */
/** @typedef {{label: string, keys?: string, run: () => void, off?: boolean}} MenuItem */

/**
 * A camera value as people write it: `0.1`, `-.05`, `1.5deg`, `2°`.
 * @param {string} text @param {Translate} words @returns {{value: number} | {error: string}}
 */
export function readCamera(text, words) {
  const match = /^\s*([+\-−]?)\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*(deg|°)?\s*$/i.exec(text);
  if (!match) return { error: words("value.bad") };
  const size = Number(match[2].replace(",", ".")) / (match[3] ? CAMERA_UNIT_DEGREES : 1);
  const value = Math.round((match[1] && match[1] !== "+" ? -size : size) * 1e6) / 1e6 + 0;
  return Math.abs(value) > CAMERA_LIMIT ? { error: words("value.range", { value: text.trim().slice(0, 20) }) } : { value };
}

export class Popups {
  /** @param {HTMLElement} root what they lie over @param {HTMLElement} stage what places are counted from @param {Translate} words @param {() => void} refocus */
  constructor(root, stage, words, refocus) {
    this.root = root;
    this.stage = stage;
    this.words = words;
    this.refocus = refocus;
    /** @type {HTMLElement | null} */
    this.open = null;
  }

  /** Close what is open. @param {boolean} [refocus] @returns {boolean} whether there was anything */
  close(refocus = true) {
    const { open } = this;
    if (!open) return false;
    this.open = null;
    open.remove();
    if (refocus) this.refocus();
    return true;
  }

  /** Show `box` with its corner near a point of the stage. @param {HTMLElement} box @param {number} x @param {number} y */
  show(box, x, y) {
    this.close(false);
    this.open = box;
    box.addEventListener("pointerdown", (event) => event.stopPropagation());
    box.addEventListener("contextmenu", (event) => event.preventDefault());
    this.root.append(box);
    const room = [this.root.clientWidth - box.offsetWidth - 4, this.root.clientHeight - box.offsetHeight - 4];
    box.style.left = `${Math.max(4, Math.min(x, room[0]))}px`;
    box.style.top = `${Math.max(4, Math.min(y + this.stage.offsetTop, room[1]))}px`;
  }

  /**
   * Ask for one line of text.
   * @param {{title: string, value: string, hint?: (text: string) => string, x: number, y: number, chips?: string[], done: (text: string) => string | null}} question
   *   `done` gives what is wrong with the answer, or null
   */
  ask({ title, value, hint, x, y, chips = [], done }) {
    const input = element("input", { class: "mg-field", type: "text", value, "aria-label": title, autocomplete: "off", spellcheck: "false" });
    const error = element("div", { class: "mg-error", role: "alert" });
    const help = element("div", { class: "mg-hint" });
    const finish = () => {
      const wrong = done(input.value);
      if (wrong === null) this.close();
      else error.textContent = wrong;
    };
    const showHint = () => (help.textContent = hint ? hint(input.value) : "");
    const buttons = chips.map((chip) =>
      element("button", { class: "mg-button mg-text", type: "button", tabindex: "-1", onclick: () => ((input.value = chip), finish()) }, chip),
    );
    const box = element("div", { class: "mg-pop mg-ask", role: "dialog", "aria-label": title }, element("h3", {}, title), element("div", { class: "mg-row" }, input, ...buttons), help, error);
    input.addEventListener("input", () => {
      error.textContent = "";
      showHint();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      if (event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Enter") finish();
      else this.close();
    });
    this.show(box, x, y);
    showHint();
    input.focus({ preventScroll: true });
    input.select();
  }

  /** @param {MenuItem[]} items @param {number} x @param {number} y */
  menu(items, x, y) {
    const buttons = items.map(({ label, keys, run, off }) =>
      element(
        "button",
        { class: "mg-button", type: "button", role: "menuitem", tabindex: "-1", disabled: off, onclick: () => (this.close(), run()) },
        element("span", {}, label),
        element("kbd", {}, keys ?? ""),
      ),
    );
    for (const button of buttons) button.addEventListener("mousedown", (event) => event.preventDefault());
    this.show(element("div", { class: "mg-pop mg-menu", role: "menu" }, ...buttons), x, y);
  }

  help() {
    if (this.open?.classList.contains("mg-help")) {
      this.close();
      return;
    }
    const rows = HELP.map(([keys, what]) => element("tr", {}, element("td", {}, keys), element("td", {}, what)));
    const close = element("button", { class: "mg-button", type: "button", tabindex: "-1", "aria-label": this.words("help.close"), onclick: () => this.close() }, "×");
    const box = element("div", { class: "mg-pop mg-help", role: "dialog", "aria-label": this.words("help.title") }, element("h3", {}, this.words("help.title")), element("table", {}, ...rows), close);
    this.show(box, 0, 0);
    box.style.left = box.style.top = "";
    this.refocus();
  }
}
