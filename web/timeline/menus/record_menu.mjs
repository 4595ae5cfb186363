// @ts-check
/** How a recording begins, and what becomes of it. */

/** @typedef {"now"|"key"|"count"} Start */
/** @typedef {{start: Start, quantise: boolean}} Recording */

export const STARTS = /** @type {Start[]} */ (["now", "key", "count"]);

export class RecordMenu {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor @param {import("../parts/popups.mjs").Popups} popups
   * @param {import("../parts/i18n.mjs").Translate} words
   * @param {{read: () => Partial<Recording>, write: (recording: Recording) => void}} store
   */
  constructor(editor, popups, words, store) {
    this.editor = editor;
    this.popups = popups;
    this.words = words;
    this.store = store;
    const { start, quantise } = store.read();
    editor.recording = { start: STARTS.find((each) => each === start) ?? "now", quantise: quantise === true };
  }

  /** @param {Partial<Recording>} what */
  set(what) {
    this.editor.recording = { ...this.editor.recording, ...what };
    this.store.write(this.editor.recording);
  }

  /** @param {number} x @param {number} y */
  open(x, y) {
    const { words } = this;
    const { start, quantise } = this.editor.recording;
    const starts = STARTS.map((each) => ({
      label: words(`record.${each}`),
      run: () => this.set({ start: each }),
      chosen: each === start,
    }));
    const blocks = {
      label: words("record.quantise"),
      run: () => this.set({ quantise: !quantise }),
      checked: quantise,
    };
    this.popups.menu([...starts, null, blocks], x, y, words("record.title"));
  }
}

/** @type {Record<string, string>} */
export const EN = {
  "record.title": "How a recording begins",
  "record.now": "Record at once",
  "record.key": "Record from the first key on",
  "record.count": "Record after a count of three",
  "record.quantise": "Quantise to blocks, as the model reads",
  "record.waits": "Recording begins with your first key; Escape ends it",
  "record.counts": "Recording begins in {n} …",
};

/** @type {Record<string, string>} */
export const ZH = {
  "record.title": "录制如何开始",
  "record.now": "立即录制",
  "record.key": "从第一个按键开始录制",
  "record.count": "倒数三下后录制",
  "record.quantise": "对齐到块，与模型读取一致",
  "record.waits": "按下第一个键时开始录制；按 Esc 结束",
  "record.counts": "{n} 后开始录制…",
};
