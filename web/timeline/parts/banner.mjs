// @ts-check
/** What stands in the way: a value that cannot be read, or a timeline of another variant. Nothing is lost unasked. */
import { VARIANTS } from "../../model/variants.mjs";
import { convertVariant } from "../../model/convert.mjs";
import { emptyDocument } from "../../model/document.mjs";
import { element, update } from "../view/style.mjs";

export class Banner {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor @param {import("./i18n.mjs").Translate} words
   * @param {{setVariant: (variant: string) => void}} host
   */
  constructor(editor, words, host) {
    this.editor = editor;
    this.words = words;
    this.host = host;
    this.root = element("div", { class: "mg-banner", role: "alert", hidden: true });
    this.problem = element("div", { class: "mg-problem", hidden: true });
    this.problem.addEventListener("pointerdown", (event) => event.stopPropagation());
    /** @type {unknown} */
    this.shown = null;
    this.offered = "";
  }

  /** @param {string} key @param {() => void} run @param {Record<string, string>} [values] */
  button(key, run, values) {
    return element("button", { class: "mg-button mg-text", type: "button", onclick: run }, this.words(key, values));
  }

  refresh() {
    const { problem, wanted, doc } = this.editor;
    const now = problem ?? (wanted ? `${doc.variant} ${wanted}` : null);
    update(this.problem, { hidden: !problem });
    update(this.root, { hidden: Boolean(problem) || !wanted });
    if (wanted && !problem) this.showVariant(wanted);
    if (now === this.shown) return;
    this.shown = now;
    if (problem) this.showProblem(problem);
  }

  /** @param {import("../editing/editor.mjs").Problem} problem */
  showProblem(problem) {
    const { editor, words } = this;
    const area = element("textarea", { spellcheck: "false", "aria-label": words("problem.retry") });
    area.value = problem.text;
    area.readOnly = problem.kind === "newer";
    const message = element("div", { class: "mg-bad", role: "alert" }, problem.message);
    const copy = () => void navigator.clipboard?.writeText(area.value);
    const row = element("div", { class: "mg-row" });
    if (problem.kind !== "newer") row.append(this.button("problem.retry", () => editor.load(area.value)));
    row.append(
      this.button("problem.copy", copy),
      this.button("problem.fresh", () => editor.startEmpty()),
    );
    const title = words(problem.kind === "newer" ? "problem.newer" : "problem.json");
    this.problem.replaceChildren(element("div", {}, title), message, area, row);
  }

  /** @param {string} wanted */
  showVariant(wanted) {
    const { editor, words } = this;
    const { doc } = editor;
    const { doc: converted, lost } = convertVariant(doc, wanted);
    const key = `${doc.variant} ${wanted} ${JSON.stringify(lost)}`;
    if (this.offered === key && this.root.childElementCount) return;
    this.offered = key;
    const names = { from: VARIANTS[doc.variant].title, to: VARIANTS[wanted].title };
    const what = lost.map(({ lane, count }) => `${editor.nameOf(lane)} (${count})`).join(", ");
    this.root.replaceChildren(
      element(
        "p",
        {},
        words("variant.offer", names),
        ...(what ? [element("span", { class: "mg-lost" }, ` ${words("variant.lost", { what })}`)] : []),
      ),
      this.button("variant.convert", () => editor.convert(convertVariant(editor.doc, wanted).doc)),
      this.button("variant.fresh", () => editor.convert(emptyDocument(wanted, converted.length))),
      this.button("variant.keep", () => this.host.setVariant(editor.doc.variant), names),
    );
  }
}
