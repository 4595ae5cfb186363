// @ts-check
/** Files in and out: inputs in any format that the server reads, and what was made of them as a picture. */
import { element } from "../view/style.mjs";

/**
 * @typedef {object} Server what reads and writes files; each rejects with an Error whose message is a sentence
 * @property {(file: File, variant: string) => Promise<{timeline: string, kind: string, notes: string[]}>} read
 * @property {(script: string, variant: string, kind: string) => Promise<Blob>} write
 */

/** Kinds of files of inputs, with their endings. @type {Record<string, string>} */
export const INPUTS = { timeline: "json", script: "mgs", csv: "csv", vpt: "jsonl", npz: "npz" };
/** Kinds of pictures of the result. @type {Record<string, string>} */
export const RESULTS = { gif: "gif", webp: "webp", sheet: "png" };
const OTHERS = /^(image|video|audio)\//; // what the page itself takes when it is dropped

export class FileMenu {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor @param {import("../parts/popups.mjs").Popups} popups
   * @param {import("../parts/i18n.mjs").Translate} words
   * @param {{server: Server, desk: import("../pictures/desk.mjs").PictureDesk, tell: (message: string) => void,
   *   complain: (message: string) => void, sent: () => string, takes: (text: string) => void}} host
   *   sent: what a run would be given. takes: puts a document that was read in place of this one
   */
  constructor(editor, popups, words, host) {
    this.editor = editor;
    this.popups = popups;
    this.words = words;
    this.host = host;
  }

  /** Take files that are dropped on an element. @param {HTMLElement} root */
  listen(root) {
    const ours = (/** @type {DragEvent} */ event) => {
      const items = [...(event.dataTransfer?.items ?? [])].filter(({ kind }) => kind === "file");
      return items.length > 0 && !items.some(({ type }) => OTHERS.test(type));
    };
    for (const kind of /** @type {const} */ (["dragenter", "dragover"])) {
      root.addEventListener(kind, (event) => {
        if (!ours(event)) return;
        event.preventDefault();
        event.stopPropagation();
      });
    }
    root.addEventListener("drop", (event) => {
      if (!ours(event)) return;
      event.preventDefault();
      event.stopPropagation();
      const [file] = event.dataTransfer?.files ?? [];
      if (file) void this.take(file);
    });
  }

  /** @param {number} x @param {number} y */
  open(x, y) {
    const { words } = this;
    const save = Object.entries(INPUTS).map(([kind, ending]) => ({
      label: words("file.save", { kind: words(`file.${kind}`) }),
      keys: `.${ending}`,
      run: () => void this.save(kind),
    }));
    const open = { label: words("file.open"), run: () => this.choose() };
    this.popups.menu([open, null, ...save, null, ...this.results()], x, y, words("file.title"));
  }

  /** @param {number} x */
  openResults(x) {
    this.popups.menu(this.results(), x, 0, this.words("file.title"));
  }

  /** What can be made of the blocks that are stored. */
  results() {
    const { words, host } = this;
    return Object.entries(RESULTS).map(([kind, ending]) => ({
      label: words(`file.${kind}`),
      keys: `.${ending}`,
      run: () => void this.result(kind),
      off: !host.desk.source || !this.editor.storedBlocks,
    }));
  }

  choose() {
    const input = element("input", { type: "file" });
    input.addEventListener("change", () => {
      const [file] = input.files ?? [];
      if (file) void this.take(file);
    });
    input.click();
  }

  /** Read a file in place of the timeline; one step of undo brings it back. @param {File} file */
  async take(file) {
    const { editor, words, host } = this;
    if (!editor.editable) return;
    host.tell(words("file.reading", { name: file.name }));
    try {
      const { timeline, kind, notes } = await host.server.read(file, editor.doc.variant);
      host.takes(timeline);
      host.tell([words("file.opened", { name: file.name, kind }), ...notes].join(" "));
    } catch (error) {
      host.complain(messageOf(error));
    }
  }

  /** @param {string} kind */
  async save(kind) {
    const { host, words, editor } = this;
    try {
      const body = await host.server.write(host.sent(), editor.doc.variant, kind);
      download(body, `timeline.${INPUTS[kind]}`);
      host.tell(words("file.saved", { name: `timeline.${INPUTS[kind]}` }));
    } catch (error) {
      host.complain(messageOf(error));
    }
  }

  /** @param {string} kind */
  async result(kind) {
    const { host, words } = this;
    host.tell(words("file.making"));
    try {
      const body = await host.desk.source?.result(host.sent(), this.editor.doc.variant, kind);
      if (!body) return;
      download(body, `matrixgame.${RESULTS[kind]}`);
      host.tell(words("file.saved", { name: `matrixgame.${RESULTS[kind]}` }));
    } catch (error) {
      host.complain(messageOf(error));
    }
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {Blob} body @param {string} name */
function download(body, name) {
  const link = element("a", { href: URL.createObjectURL(body), download: name });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @type {Record<string, string>} */
export const EN = {
  "file.title": "Files: open, save, result",
  "file.open": "Open inputs…",
  "file.save": "Save as {kind}",
  "file.timeline": "timeline",
  "file.script": "script",
  "file.csv": "table",
  "file.vpt": "VPT recording",
  "file.npz": "NumPy arrays",
  "file.gif": "Result as GIF",
  "file.webp": "Result as WebP",
  "file.sheet": "Result as contact sheet",
  "file.reading": "Reading {name} …",
  "file.opened": "{name} opened ({kind}); undo brings back what was here.",
  "file.saved": "{name} saved",
  "file.making": "Drawing what is stored …",
  "menu.files": "Files: open, save, result…",
};

/** @type {Record<string, string>} */
export const ZH = {
  "file.title": "文件：打开、保存、结果",
  "file.open": "打开输入…",
  "file.save": "保存为{kind}",
  "file.timeline": "时间轴",
  "file.script": "脚本",
  "file.csv": "表格",
  "file.vpt": "VPT 录制",
  "file.npz": "NumPy 数组",
  "file.gif": "结果存为 GIF",
  "file.webp": "结果存为 WebP",
  "file.sheet": "结果存为缩略图表",
  "file.reading": "正在读取 {name}…",
  "file.opened": "已打开 {name}（{kind}）；撤销可恢复之前的内容。",
  "file.saved": "已保存 {name}",
  "file.making": "正在绘制已存储的内容…",
  "menu.files": "文件：打开、保存、结果…",
};
