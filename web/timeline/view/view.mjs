// @ts-check
/** Where things are on the canvas: layout, zoom, scroll, hit-testing and snapping. All in CSS pixels of the canvas. */
import { FRAMES_PER_LATENT, VARIANTS, blockOfInput, firstInputOfBlock, lanesOf } from "../../model/variants.mjs";
import { activeTracks } from "../../model/document.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../../model/variants.mjs").Lane} Lane */
/** @typedef {import("../../model/variants.mjs").Frame} Frame */
/** @typedef {import("../../model/variants.mjs").Pixel} Pixel */
/** @typedef {Lane & {top: Pixel, height: Pixel}} Row */
/**
 * @typedef {object} Hit
 * @property {"corner"|"ruler"|"strip"|"film"|"markers"|"lane"|"minimap"} area
 * @property {boolean} header in the column of names
 * @property {Frame} t row under the pointer, within the document
 * @property {Frame} edge nearest row boundary, within the document
 * @property {Row | null} row
 * @property {number} value camera value at this height of a camera lane
 */

export const RULER = 22;
export const STRIP = 14;
export const FILM = 42; // the row of pictures, where it is shown
export const MARKERS = 20;
export const MINIMAP = 22;
const KEY_MIN = 24;
const KEY_MAX = 34;
const AXIS_MIN = 52;
const FINE = 0.1; // of a drag that is to be exact
const SCALES = { min: 0.05, max: 40 };
/**
 * The range of each camera lane that was looked at; lanes are never changed in place.
 * @type {WeakMap<object, number>}
 */
const RANGES = new WeakMap();
export const SNAPS = ["frame", "latent", "block", "marker"];

/** The least height of the canvas for a variant. @param {string} variant @param {number} [film] height of its row */
export function minHeight(variant, film = 0) {
  const rows = lanesOf(VARIANTS[variant]).reduce((sum, lane) => sum + (lane.kind === "axis" ? AXIS_MIN : KEY_MIN), 0);
  return RULER + STRIP + film + MARKERS + rows + MINIMAP;
}

export class View {
  constructor() {
    this.width = 300;
    this.height = 200;
    this.scroll = 0;
    this.perFrame = 4;
    this.head = 64;
    /** Height of the row of pictures, 0 where it is not shown. */
    this.film = 0;
    /** Whether the whole document fills the width, as long as the user does not zoom. */
    this.all = true;
    /** Of the ruler. @type {"frames"|"seconds"|"blocks"} */
    this.unit = "frames";
    /** @type {Row[]} */
    this.rows = [];
  }

  /** Lay the lanes out. @param {Timeline} doc @param {number} width @param {number} height */
  layout(doc, width, height) {
    this.width = width;
    this.height = height;
    this.head = width < 440 ? 56 : 76;
    const lanes = lanesOf(VARIANTS[doc.variant]);
    const axes = lanes.filter((lane) => lane.kind === "axis").length;
    const keys = lanes.length - axes;
    const spare = Math.max(0, height - minHeight(doc.variant, this.film));
    const key = axes ? Math.min(KEY_MAX, KEY_MIN + spare / 2 / keys) : KEY_MIN + spare / keys;
    const axis = axes ? AXIS_MIN + (spare - (key - KEY_MIN) * keys) / axes : 0;
    let top = this.lanesTop;
    this.rows = lanes.map((lane) => {
      const row = { ...lane, top, height: lane.kind === "axis" ? axis : key };
      top += row.height;
      return row;
    });
    if (this.all) this.fit(doc);
    this.clampScroll(doc);
  }

  get markersTop() {
    return RULER + STRIP + this.film;
  }

  get lanesTop() {
    return this.markersTop + MARKERS;
  }

  get lanesBottom() {
    return this.height - MINIMAP;
  }

  /** Rows that fit. */
  get span() {
    return (this.width - this.head) / this.perFrame;
  }

  /** First and last row that are seen. @param {Timeline} doc @returns {[Frame, Frame]} */
  seen(doc) {
    return [Math.max(0, Math.floor(this.scroll)), Math.min(doc.length, Math.ceil(this.scroll + this.span))];
  }

  /** Where a row begins. @param {Frame} t @returns {Pixel} */
  x(t) {
    return this.head + (t - this.scroll) * this.perFrame;
  }

  /** The fractional row at x. @param {Pixel} x @returns {Frame} */
  time(x) {
    return this.scroll + (x - this.head) / this.perFrame;
  }

  /** @param {Timeline} doc */
  clampScroll(doc) {
    const room = Math.max(0, doc.length - this.span + 2);
    this.scroll = Math.max(0, Math.min(room, this.scroll));
  }

  /** @param {Timeline} doc @param {number} factor @param {number} [x] the place that stays where it is */
  zoom(doc, factor, x = this.head + (this.width - this.head) / 2) {
    const t = this.time(x);
    this.all = false;
    const fit = (this.width - this.head) / (doc.length + 2);
    this.perFrame = Math.max(Math.min(SCALES.min, fit), Math.min(SCALES.max, this.perFrame * factor));
    this.scroll = t - (x - this.head) / this.perFrame;
    this.clampScroll(doc);
  }

  /** @param {Timeline} doc @param {number} [a] @param {number} [b] rows that shall fill the width */
  fit(doc, a = 0, b = doc.length) {
    this.all = a === 0 && b === doc.length;
    this.perFrame = Math.min(SCALES.max, (this.width - this.head) / (b - a + 2));
    this.scroll = a - (a > 0 ? 1 : 0);
    this.clampScroll(doc);
  }

  /** Scroll so that row t is seen. @param {Timeline} doc @param {number} t */
  reveal(doc, t) {
    const margin = Math.min(8, this.span / 4);
    if (t < this.scroll + margin) this.scroll = t - margin;
    else if (t + 1 > this.scroll + this.span - margin) this.scroll = t + 1 - this.span + margin;
    this.clampScroll(doc);
  }

  /** The greatest camera value that a lane shows. @param {Timeline} doc @param {string} axis */
  range(doc, axis) {
    const track = activeTracks(doc)[axis] ?? [];
    const found = RANGES.get(track);
    if (found) return found;
    const peak = track.reduce((most, e) => Math.max(most, Math.abs(e[1]), Math.abs(e[4] ?? 0)), 0);
    const { speed, limit } = VARIANTS[doc.variant].camera;
    const range =
      [2, 3, 5].map((times) => Number((times * speed).toPrecision(6))).find((most) => peak <= most) ?? limit;
    RANGES.set(track, range);
    return range;
  }

  /** @param {Timeline} doc @param {Row} row @param {number} value */
  yOf(doc, row, value) {
    return row.top + row.height / 2 - (value / this.range(doc, row.id)) * (row.height / 2 - 5);
  }

  /** The camera value at a height, to two places. @param {Timeline} doc @param {Row} row @param {number} y */
  valueOf(doc, row, y) {
    const range = this.range(doc, row.id);
    const value = ((row.top + row.height / 2 - y) / (row.height / 2 - 5)) * range;
    return Math.round(Math.max(-range, Math.min(range, value)) * 100) / 100 + 0;
  }

  /**
   * The value of a drag that went from height y0 to y: a tenth as far, to four places.
   * @param {Timeline} doc @param {Row} row @param {number} from the value at y0 @param {number} y0 @param {number} y
   */
  fineValue(doc, row, from, y0, y) {
    const range = this.range(doc, row.id);
    const by = ((y0 - y) / (row.height / 2 - 5)) * range * FINE;
    return Math.round(Math.max(-range, Math.min(range, from + by)) * 1e4) / 1e4 + 0;
  }

  /** What is at a point of the canvas. @param {Timeline} doc @param {Pixel} x @param {Pixel} y @returns {Hit} */
  hit(doc, x, y) {
    const time = this.area(y) === "minimap" ? ((x - this.head) / (this.width - this.head)) * doc.length : this.time(x);
    const t = Math.max(0, Math.min(doc.length - 1, Math.floor(time)));
    const edge = Math.max(0, Math.min(doc.length, Math.round(time)));
    const row = this.rows.find((r) => y >= r.top && y < r.top + r.height) ?? null;
    const value = row && row.kind === "axis" ? this.valueOf(doc, row, y) : 0;
    const header = x < this.head;
    return { area: header && !row ? "corner" : this.area(y), header, t, edge, row, value };
  }

  /** @param {number} y @returns {Hit["area"]} */
  area(y) {
    if (y < RULER) return "ruler";
    if (y < RULER + STRIP) return "strip";
    if (y < this.markersTop) return "film";
    if (y < this.lanesTop) return "markers";
    return y >= this.lanesBottom ? "minimap" : "lane";
  }

  /** The lane nearest to a height. @param {number} y */
  nearestRow(y) {
    return this.rows.find((r) => y < r.top + r.height) ?? this.rows[this.rows.length - 1];
  }
}

/** The last snap boundary at or before row t. @param {Timeline} doc @param {string} snap @param {number} t */
export function snapDown(doc, snap, t) {
  if (snap === "latent") return t - (t % FRAMES_PER_LATENT);
  if (snap === "block") return firstInputOfBlock(blockOfInput(t));
  if (snap === "marker") return doc.markers.reduce((best, m) => (m.t <= t ? m.t : best), 0);
  return t;
}

/** The first snap boundary after row t. @param {Timeline} doc @param {string} snap @param {number} t */
export function snapUp(doc, snap, t) {
  if (snap === "latent") return Math.min(doc.length, t - (t % FRAMES_PER_LATENT) + FRAMES_PER_LATENT);
  if (snap === "block") return Math.min(doc.length, firstInputOfBlock(blockOfInput(t) + 1));
  if (snap === "marker") return doc.markers.find((m) => m.t > t)?.t ?? doc.length;
  return t + 1;
}

/** The snap boundary nearest to `edge`. @param {Timeline} doc @param {string} snap @param {number} edge */
export function snapNear(doc, snap, edge) {
  if (snap === "frame" || edge <= 0) return Math.max(0, edge);
  const down = snapDown(doc, snap, edge);
  if (down === edge) return edge;
  const up = snapUp(doc, snap, edge);
  return edge - down <= up - edge ? down : up;
}
