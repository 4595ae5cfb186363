// @ts-check
/** The line below the canvas: where the cursor is, and beside it what is wrong or worth knowing. */
import { secondsOf } from "../../model/variants.mjs";
import { paceText } from "../editing/cost.mjs";
import { element, update } from "../view/style.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../../model/warnings.mjs").Warning} Warning */

export class Foot {
  /** @param {import("../editing/editor.mjs").Editor} editor @param {import("./i18n.mjs").Translate} words */
  constructor(editor, words) {
    this.editor = editor;
    this.words = words;
    this.status = element("span", { class: "mg-status" });
    this.note = element("span", { class: "mg-note", role: "status" });
    this.root = element("div", { class: "mg-foot" }, this.status, this.note);
    /** @type {{doc: Timeline, list: Warning[]} | null} */
    this.warned = null;
  }

  /** The warnings of the document, worked out once for each: a document is never changed in place. */
  get warnings() {
    const { doc } = this.editor;
    if (this.warned?.doc !== doc) this.warned = { doc, list: this.editor.warnings };
    return this.warned.list;
  }

  /**
   * @param {string} complaint until the next edit @param {number | null} recording the frame where a take began
   * @param {{key: string, n: number} | null} prelude what there is to say before it begins
   */
  refresh(complaint, recording, prelude) {
    const { editor, words } = this;
    const { status } = editor;
    const { tested } = editor.variant.camera;
    update(this.status, { text: status, title: status });
    const [first] = this.warnings;
    const faulty = editor.scriptError;
    const bad = complaint || (faulty ? `${faulty.line}:${faulty.column} ${faulty.reason}` : "");
    const begun = recording === null ? "" : words("say.recording", { t: recording });
    const take = prelude ? words(prelude.key, { n: prelude.n }) : begun;
    const soft = first ? `${words(`warn.${first.code}`, { tested })} (${secondsOf(first.t).toFixed(2)} s)` : "";
    const pace = editor.pace ? paceText(editor.pace, words) : "";
    const text = take || bad || pace || editor.told || soft;
    const colour = take || !text || ((pace || editor.told) && !bad) ? "" : bad ? " mg-bad" : " mg-warn";
    update(this.note, { text, title: text, class: `mg-note${colour}` });
  }
}
