// @ts-check
/** Paints the canvas of one timeline, in the colours of the palette in use. */
import { draw } from "./draw.mjs";
import { contextFor, scaleOf } from "./surface.mjs";
import { readTheme } from "./theme.mjs";

export class Painter {
  /**
   * @param {HTMLCanvasElement} canvas @param {HTMLElement} root that has the palette
   * @param {import("../editing/editor.mjs").Editor} editor @param {import("../parts/i18n.mjs").Translate} words
   */
  constructor(canvas, root, editor, words) {
    this.canvas = canvas;
    this.root = root;
    this.editor = editor;
    this.words = words;
    this.scale = 1;
    /** @type {import("./theme.mjs").Theme | null} */
    this.known = null;
  }

  /** The palette may be another. */
  retheme() {
    this.known = null;
  }

  get theme() {
    if (!this.known) {
      this.known = readTheme(this.root);
      this.root.classList.toggle("mg-light", !this.known.dark);
      this.root.style.setProperty("--mg-error", this.known.error);
    }
    return this.known;
  }

  /** Whether the graph's zoom changed what a pixel is. */
  get blurred() {
    return this.root.isConnected && this.scale !== scaleOf(this.canvas);
  }

  /**
   * @param {number} width @param {number} height
   * @param {Pick<import("./draw.mjs").Picture, "focused" | "warnings" | "film">} more what the editor does not know
   */
  paint(width, height, more) {
    const { editor, canvas } = this;
    this.scale = scaleOf(canvas);
    const ctx = contextFor(canvas, width, height, this.scale);
    if (!ctx) return;
    const { theme } = this;
    editor.view.layout(editor.doc, width, height);
    draw(ctx, {
      ...more,
      doc: editor.doc,
      view: editor.view,
      theme,
      cursor: editor.cursor,
      selection: editor.selection,
      playhead: editor.playhead,
      armed: editor.armed,
      blocks: editor.blocks,
      ramp: editor.ramp,
      readout: editor.readout,
      name: (id) => editor.nameOf(id),
      other: editor.comparison,
      pinned: this.words("state.pin"),
    });
  }
}
