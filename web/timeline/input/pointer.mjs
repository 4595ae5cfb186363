// @ts-check
/** Events of the canvas: which press begins what, two fingers, long press, wheel. Works at any zoom of the graph. */
import { begin, shapeAt } from "./press.mjs";
import { readoutAt } from "../view/readout.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */
/** @typedef {import("./gestures.mjs").Point} Point */
/**
 * @typedef {object} PointerHost
 * @property {() => boolean} focused
 * @property {() => void} focus
 * @property {() => boolean} recording
 * @property {(dx: number, dy: number) => void} look the mouse moved while recording
 * @property {(p: Point) => void} menu
 * @property {(p: Point) => void} open double click
 * @property {(event: WheelEvent) => void} wheelToGraph
 * @property {(event: PointerEvent) => void} pointerToGraph
 * @property {(t: number | null) => void} pointed the pointer is over a row, or over none
 */

const LONG_PRESS = 550;
const DOUBLE = 400;
const SLOP = 6;

/** Let the finger that is down be lifted without a click, which would press what has come to lie under it. */
function withoutClick() {
  const stop = (/** @type {Event} */ event) =>
    (event.preventDefault(), event.stopImmediatePropagation());
  const done = () => {
    window.removeEventListener("click", stop, true);
    window.removeEventListener("pointerdown", done, true);
  };
  window.addEventListener("click", stop, true);
  window.addEventListener("pointerdown", done, true);
  window.addEventListener("pointerup", () => setTimeout(done, 400), { capture: true, once: true });
}

export class Pointers {
  /** @param {HTMLCanvasElement} canvas @param {Editor} editor @param {PointerHost} host */
  constructor(canvas, editor, host) {
    this.canvas = canvas;
    this.editor = editor;
    this.host = host;
    /** @type {import("./gestures.mjs").Drag | null} */
    this.drag = null;
    /** @type {Map<number, Point>} */
    this.fingers = new Map();
    /** @type {{distance: number, middle: number} | null} */
    this.pinch = null;
    this.press = 0;
    this.last = { at: 0, x: 0, y: 0 };
    /** @type {Point | null} */
    this.downAt = null;
    /** Where the pointer that drags was seen last. @type {Point} */
    this.at = { x: 0, y: 0, shift: false, alt: false };
    editor.endings.push(() => this.finish());
    const on = (/** @type {string} */ kind, /** @type {(event: any) => void} */ act, /** @type {any} */ options) =>
      canvas.addEventListener(kind, act, options);
    on("pointerdown", (event) => this.down(event), undefined);
    on("pointermove", (event) => this.move(event), undefined);
    on("pointerup", (event) => this.up(event, false), undefined);
    on("pointercancel", (event) => this.up(event, true), undefined);
    on("pointerleave", () => this.leave(), undefined);
    on("contextmenu", (event) => this.context(event), undefined);
    on("wheel", (event) => this.wheel(event), { passive: false });
  }

  /**
   * Where an event is on the canvas, in its own pixels, whatever the graph's zoom.
   * @param {PointerEvent | MouseEvent} event @returns {Point}
   */
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) * this.canvas.clientWidth) / (box.width || 1);
    const y = ((event.clientY - box.top) * this.canvas.clientHeight) / (box.height || 1);
    return { x, y, shift: event.shiftKey, alt: event.altKey, fine: event.ctrlKey || event.metaKey };
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button === 1) {
      this.host.pointerToGraph(event);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.host.focus();
    const p = this.point(event);
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, p);
    if (event.button !== 0 || this.host.recording()) return;
    this.canvas.setPointerCapture(event.pointerId);
    if (this.fingers.size > 1) {
      this.startPinch();
      return;
    }
    const double = performance.now() - this.last.at < DOUBLE && Math.hypot(p.x - this.last.x, p.y - this.last.y) < SLOP;
    this.last = { at: double ? 0 : performance.now(), x: p.x, y: p.y };
    if (double && this.isOpenable(p)) {
      this.host.open(p);
      return;
    }
    this.downAt = p;
    if (event.pointerType !== "mouse") this.press = window.setTimeout(() => this.longPress(p), LONG_PRESS);
    this.before = this.editor.doc;
    this.at = p;
    this.drag = begin(this.editor, p);
  }

  /** @param {Point} p */
  isOpenable(p) {
    const hit = this.editor.view.hit(this.editor.doc, p.x, p.y);
    return !hit.header && (hit.row?.kind === "axis" || hit.area === "markers" || hit.area === "ruler");
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (this.host.recording()) {
      this.host.look(event.movementX, event.movementY);
      return;
    }
    const p = this.point(event);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, p);
    if (this.pinch) {
      this.movePinch();
      return;
    }
    if (!this.drag) {
      if (event.pointerType === "mouse") this.canvas.style.cursor = shapeAt(this.editor, p.x, p.y);
      this.tellRow(p);
      return;
    }
    event.preventDefault();
    if (this.downAt && Math.hypot(p.x - this.downAt.x, p.y - this.downAt.y) > SLOP) window.clearTimeout(this.press);
    this.at = p;
    this.follow(p);
    this.drag.move(p);
    this.tellRow(p);
  }

  /** Tell which row the pointer is over. @param {Point} p */
  tellRow(p) {
    const { view, doc } = this.editor;
    const hit = view.hit(doc, p.x, p.y);
    this.host.pointed(hit.header || hit.area === "minimap" ? null : hit.t);
    this.read(readoutAt(this.editor, p, this.drag !== null));
  }

  /** @param {import("../view/readout.mjs").Readout | null} readout at the pointer */
  read(readout) {
    if (!readout && !this.editor.readout) return;
    this.editor.readout = readout;
    this.editor.emit("view");
  }

  leave() {
    this.host.pointed(null);
    if (!this.drag) this.read(null);
  }

  /** Scroll when a drag leaves the lanes. @param {Point} p */
  follow(p) {
    const { view, doc } = this.editor;
    const beyond = p.x > view.width ? p.x - view.width : p.x < view.head ? p.x - view.head : 0;
    if (!beyond) return;
    view.scroll += beyond / view.perFrame / 8;
    view.clampScroll(doc);
    this.editor.emit("view");
  }

  /** @param {PointerEvent} event @param {boolean} cancelled */
  up(event, cancelled) {
    window.clearTimeout(this.press);
    this.fingers.delete(event.pointerId);
    const lifted = event.pointerType === "touch"; // it points nowhere
    if (lifted) this.leave();
    if (this.pinch) {
      if (!this.fingers.size) this.pinch = null;
      return;
    }
    if (!this.drag) return;
    this.at = this.point(event);
    if (cancelled) this.cancel();
    else this.finish();
    this.editor.drawn = null;
    this.read(lifted ? null : readoutAt(this.editor, this.at, false));
  }

  /** End the gesture under way where its pointer is. */
  finish() {
    window.clearTimeout(this.press);
    const { drag } = this;
    this.drag = null;
    drag?.end(this.at);
  }

  /** Forget the gesture under way. */
  cancel() {
    window.clearTimeout(this.press);
    if (this.drag && this.before && this.editor.doc !== this.before) this.editor.preview(this.before);
    this.drag = null;
    this.editor.commit();
  }

  startPinch() {
    this.cancel();
    this.pinch = this.spread();
  }

  spread() {
    const [a, b] = [...this.fingers.values()];
    return { distance: Math.max(10, Math.abs(a.x - b.x)), middle: (a.x + b.x) / 2 };
  }

  movePinch() {
    if (!this.pinch || this.fingers.size < 2) return;
    const now = this.spread();
    const { view, doc } = this.editor;
    view.scroll -= (now.middle - this.pinch.middle) / view.perFrame;
    view.zoom(doc, now.distance / this.pinch.distance, now.middle);
    this.pinch = now;
    this.editor.emit("view");
  }

  /** @param {Point} p */
  longPress(p) {
    this.cancel();
    this.host.menu(p);
    withoutClick();
  }

  /** @param {MouseEvent} event */
  context(event) {
    event.preventDefault();
    event.stopPropagation();
    if (/** @type {PointerEvent} */ (event).pointerType === "touch") return;
    this.host.menu(this.point(event));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!this.host.focused() || event.ctrlKey || event.metaKey) {
      this.host.wheelToGraph(event);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const { view, doc } = this.editor;
    const line = event.deltaMode === 1 ? 16 : 1;
    if (event.altKey) view.zoom(doc, Math.exp(-(event.deltaY || event.deltaX) * line * 0.0022), this.point(event).x);
    else {
      view.scroll += ((event.deltaY + event.deltaX) * line) / view.perFrame;
      view.clampScroll(doc);
    }
    this.editor.emit("view");
  }
}
