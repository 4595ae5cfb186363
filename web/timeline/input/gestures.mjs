// @ts-check
/** Drags on the canvas: mouse, pen and fingers become edits. One press to release is one step of undo. */
import { activeTracks } from "../../model/document.mjs";
import { MAX_FRAMES, blockOfInput, blocksOfFrames, firstInputOfBlock, framesOfBlocks } from "../../model/variants.mjs";
import { valueAt } from "../../model/tracks.mjs";
import { snapDown, snapNear, snapUp } from "../view/view.mjs";
import * as edit from "../../model/edit.mjs";
import * as signs from "../../model/edit_signs.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */
/** @typedef {import("../view/view.mjs").Hit} Hit */
/** @typedef {{x: number, y: number, shift: boolean, alt: boolean, fine?: boolean}} Point fine: a tenth as far up */
/** @typedef {{move: (p: Point) => void, end: (p: Point) => void}} Drag */
/** @typedef {Extract<import("../view/areas.mjs").Area, {kind: "rampEnd"}>} RampEnd */

const SLOP = 3;

/** @param {Editor} e @param {Point} p */
const snapOf = (e, p) => (p.alt ? "frame" : e.snap);

/**
 * The camera value of a drag: of the pointer's height or, where it is to be exact, a little from where it began.
 * @param {Editor} e @param {import("../view/view.mjs").Row} row @param {Point} p @param {Point} start
 * @param {number} from the value that it began with
 */
function valueNear(e, row, p, start, from) {
  return p.fine ? e.view.fineValue(e.doc, row, from, start.y, p.y) : e.view.valueOf(e.doc, row, p.y);
}

/**
 * Toggle-paint in one lane: the first cell decides, what the pointer jumps over is filled.
 * @param {Editor} e @param {Hit} hit @param {Point} start @returns {Drag}
 */
export function paintDrag(e, hit, start) {
  const base = e.doc;
  const lane = hit.row?.id ?? "";
  const on = !edit.isOn(base, lane, hit.t);
  let low = hit.t;
  let high = hit.t;
  const move = (/** @type {Point} */ p) => {
    const { t } = e.view.hit(base, p.x, start.y);
    low = Math.min(low, t);
    high = Math.max(high, t);
    const snap = snapOf(e, start);
    e.preview(edit.paintKey(base, lane, snapDown(base, snap, low), snapUp(base, snap, high), on));
  };
  e.cursor = { t: hit.t, lane };
  e.selection = null;
  e.anchor = { t: hit.t, lane };
  move(start);
  return {
    move,
    end: () => {
      e.commit();
      e.sayRange(lane, low, high + 1);
    },
  };
}

/** Draw a camera lane freehand. @param {Editor} e @param {Hit} hit @param {Point} start @returns {Drag} */
export function drawDrag(e, hit, start) {
  const base = e.doc;
  const { row } = hit;
  if (!row) return { move: () => {}, end: () => {} };
  /** @type {Map<number, number>} */
  const values = new Map();
  const snap = snapOf(e, start);
  let last = { t: hit.t, value: hit.value };
  let moving = false;
  e.cursor = { t: hit.t, lane: row.id };
  e.selection = null;
  e.anchor = e.cursor;
  return {
    move: (p) => {
      moving ||= Math.hypot(p.x - start.x, p.y - start.y) > SLOP;
      if (!moving) return;
      const t = e.view.hit(base, p.x, start.y).t;
      const value = (e.drawn = p.shift ? hit.value : valueNear(e, row, p, start, hit.value));
      const steps = Math.max(1, Math.abs(t - last.t));
      for (let i = 0; i <= steps; i++) {
        const between = last.value + ((value - last.value) * i) / steps;
        values.set(Math.round(last.t + ((t - last.t) * i) / steps), Math.round(between * 1000) / 1000);
      }
      last = { t, value };
      const low = snapDown(base, snap, Math.min(...values.keys()));
      const high = snapUp(base, snap, Math.max(...values.keys()));
      let held = values.get(Math.min(...values.keys())) ?? 0;
      const drawn = Array.from({ length: high - low }, (_, i) => (held = values.get(low + i) ?? held));
      e.preview(edit.drawAxis(base, row.id, low, drawn));
    },
    end: () => {
      e.commit();
      e.sayCell();
    },
  };
}

/**
 * A ramp from press to release, or between two clicks.
 * @param {Editor} e @param {Hit} hit @param {Point} start @returns {Drag}
 */
export function rampDrag(e, hit, start) {
  const axis = hit.row?.id ?? "";
  const edge = snapNear(e.doc, snapOf(e, start), hit.edge);
  const begun = e.ramp && e.ramp.axis === axis ? e.ramp : null;
  e.ramp = begun ? { ...begun, b: edge, v1: hit.value } : { axis, a: edge, v0: hit.value, b: edge, v1: hit.value };
  const ramp = e.ramp;
  e.emit("view");
  return {
    move: (p) => {
      const to = e.view.hit(e.doc, p.x, start.y);
      ramp.b = snapNear(e.doc, snapOf(e, p), to.edge);
      ramp.v1 = hit.row ? valueNear(e, hit.row, p, start, hit.value) : 0;
      e.emit("view");
    },
    end: () => {
      if (ramp.a === ramp.b) return;
      e.ramp = null;
      e.apply((doc) => edit.rampAxis(doc, axis, ramp.a, ramp.b, ramp.v0, ramp.v1, e.easing));
      e.moveTo(Math.min(ramp.a, ramp.b), axis);
    },
  };
}

/**
 * Move one end of a ramp; Shift keeps its value.
 * @param {Editor} e @param {Hit} hit @param {Point} start @param {RampEnd} handle
 * @returns {Drag}
 */
export function handleDrag(e, hit, start, { ramp, end, value }) {
  const base = e.doc;
  const { row } = hit;
  const axis = row?.id ?? "";
  let moved = false;
  e.selection = null;
  return {
    move: (p) => {
      moved ||= Math.hypot(p.x - start.x, p.y - start.y) > SLOP;
      if (!moved || !row) return;
      const t = snapNear(base, snapOf(e, p), e.view.hit(base, p.x, start.y).edge);
      const v = (e.drawn = p.shift ? value : valueNear(e, row, p, start, value));
      e.cursor = { t: Math.min(t, base.length - 1), lane: axis };
      e.preview(edit.moveRampEnd(base, axis, ramp, end, t, v));
    },
    end: () => {
      if (moved) e.commit();
      else e.moveTo(Math.min(base.length - 1, hit.t), axis);
    },
  };
}

/** @param {Editor} e @param {string} lane @param {[number, number]} run @param {"left"|"right"} side @returns {Drag} */
export function resizeDrag(e, lane, run, side) {
  const base = e.doc;
  return {
    move: (p) => {
      const edge = snapNear(base, snapOf(e, p), e.view.hit(base, p.x, e.view.lanesTop).edge);
      const [a, b] =
        side === "left" ? [Math.min(edge, run[0] + run[1] - 1), run[0] + run[1]] : [run[0], Math.max(edge, run[0] + 1)];
      e.selection = { a, b, lanes: [lane] };
      e.preview(edit.resizeRun(base, lane, run, a, b));
    },
    end: () => e.commit(),
  };
}

/** @param {Editor} e @param {string} lane @param {[number, number]} run @param {Hit} hit @returns {Drag} */
export function moveRunDrag(e, lane, run, hit) {
  const base = e.doc;
  e.selection = { a: run[0], b: run[0] + run[1], lanes: [lane] };
  e.emit("view");
  return {
    move: (p) => {
      const to = e.view.hit(base, p.x, e.view.lanesTop);
      const row = e.view.nearestRow(p.y);
      const target = row.kind === "key" ? row.id : lane;
      const start = Math.max(
        0,
        Math.min(base.length - run[1], snapNear(base, p.shift ? "frame" : e.snap, run[0] + to.t - hit.t)),
      );
      e.selection = { a: start, b: start + run[1], lanes: [target] };
      e.cursor = { t: start, lane: target };
      e.preview(edit.moveRun(base, lane, run, target, start, p.alt));
    },
    end: () => e.commit(),
  };
}

/**
 * @param {Editor} e @param {Hit} hit @param {Point} start @param {import("../editing/editor.mjs").Selection} selection
 * @returns {Drag}
 */
export function moveSelection(e, hit, start, selection) {
  const base = e.doc;
  const rows = selection.b - selection.a;
  let moved = false;
  return {
    move: (p) => {
      moved ||= Math.abs(p.x - start.x) > SLOP;
      if (!moved) return;
      const to = e.view.hit(base, p.x, e.view.lanesTop);
      const a = Math.max(
        0,
        Math.min(base.length - rows, snapNear(base, p.shift ? "frame" : e.snap, selection.a + to.t - hit.t)),
      );
      e.selection = { a, b: a + rows, lanes: selection.lanes };
      e.preview(edit.moveRange(base, selection.lanes, selection.a, selection.b, a - selection.a, p.alt));
    },
    end: () => {
      if (moved) e.commit();
      else e.moveTo(hit.t, hit.row?.id);
    },
  };
}

/** @param {Editor} e @param {Hit} hit @returns {Drag} */
export function marqueeDrag(e, hit) {
  const from = { t: hit.t, lane: hit.row?.id ?? e.cursor.lane };
  const ids = e.lanes.map((lane) => lane.id);
  let moved = false;
  e.anchor = null;
  return {
    move: (p) => {
      const to = e.view.hit(e.doc, p.x, p.y);
      moved ||= to.t !== from.t || e.view.nearestRow(p.y).id !== from.lane;
      if (!moved) return;
      const j = ids.indexOf(hit.row ? e.view.nearestRow(p.y).id : ids[ids.length - 1]);
      const i = hit.row ? ids.indexOf(from.lane) : 0;
      const snap = snapOf(e, p);
      const a = snapDown(e.doc, snap, Math.min(from.t, to.t));
      const b = snapUp(e.doc, snap, Math.max(from.t, to.t));
      e.selection = { a, b, lanes: ids.slice(Math.min(i, j), Math.max(i, j) + 1) };
      e.emit("view");
    },
    end: () => {
      if (!moved) e.moveTo(from.t, from.lane);
      else if (e.selection) e.select(e.selection.a, e.selection.b, e.selection.lanes);
    },
  };
}

/**
 * Move the playhead, or with Shift select in all lanes.
 * @param {Editor} e @param {Hit} hit @param {Point} start @returns {Drag}
 */
export function rulerDrag(e, hit, start) {
  if (start.shift) return marqueeDrag(e, { ...hit, row: null });
  const base = e.doc;
  const move = (/** @type {Point} */ p) => {
    const to = e.view.hit(base, p.x, 0);
    e.cursor = { ...e.cursor, t: Math.min(base.length - 1, snapNear(base, snapOf(e, p), to.t)) };
    e.emit("view");
  };
  move(start);
  return { move, end: () => e.moveTo(e.cursor.t) };
}

/**
 * Move the end of the timeline, by whole blocks; what is cut off comes back while the drag goes on.
 * @param {Editor} e @returns {Drag}
 */
export function endDrag(e) {
  const base = e.doc;
  const { all } = e.view;
  e.view.all = false; // its scale stays while the end moves
  return {
    move: (p) => {
      const blocks = Math.round((e.view.time(p.x) + 3) / 12);
      const most = blocksOfFrames(MAX_FRAMES);
      e.preview(edit.setLength(base, framesOfBlocks(Math.max(1, Math.min(most, blocks)))));
    },
    end: () => {
      if (all) e.view.fit(e.doc);
      e.commit();
      e.sayLength();
    },
  };
}

/** Move one end of the loop. @param {Editor} e @param {Point} start @param {0 | 1} end @returns {Drag} */
export function loopDrag(e, start, end) {
  const base = e.doc;
  const [a, b] = base.loop ?? [0, base.length];
  const move = (/** @type {Point} */ p) => {
    const edge = snapNear(base, snapOf(e, p), e.view.hit(base, p.x, 0).edge);
    e.preview(signs.setLoop(base, end ? [a, Math.max(edge, a + 1)] : [Math.min(edge, b - 1), b]));
  };
  move(start);
  return { move, end: () => e.commit() };
}

/**
 * Move a marker.
 * @param {Editor} e @param {Hit} hit @param {Point} start @param {import("../../model/document.mjs").Marker} marker
 * @returns {Drag}
 */
export function markerDrag(e, hit, start, marker) {
  const base = e.doc;
  let moved = false;
  return {
    move: (p) => {
      moved ||= Math.abs(p.x - start.x) > SLOP;
      if (!moved) return;
      const to = snapNear(base, snapOf(e, p), marker.t + e.view.hit(base, p.x, 0).t - hit.t);
      e.cursor = { ...e.cursor, t: Math.max(0, Math.min(base.length - 1, to)) };
      e.preview(signs.moveMarker(base, marker.t, to));
    },
    end: () => (moved ? e.commit() : e.moveTo(Math.min(base.length - 1, marker.t))),
  };
}

/** @param {Editor} e @param {Point} start @returns {Drag} */
export function panDrag(e, start) {
  const { scroll } = e.view;
  return {
    move: (p) => {
      e.view.scroll = scroll - (p.x - start.x) / e.view.perFrame;
      e.view.clampScroll(e.doc);
      e.emit("view");
    },
    end: () => {},
  };
}

/** @param {Editor} e @param {Point} start @returns {Drag} */
export function minimapDrag(e, start) {
  const move = (/** @type {Point} */ p) => {
    e.view.scroll = ((p.x - e.view.head) / (e.view.width - e.view.head)) * e.doc.length - e.view.span / 2;
    e.view.clampScroll(e.doc);
    e.emit("view");
  };
  move(start);
  return { move, end: () => {} };
}

/**
 * The stretch of a camera lane that a typed value replaces: the selection, the hold or ramp there, or one block.
 * @param {Editor} e @param {string} axis @param {number} t @returns {[number, number]}
 */
export function stretchAt(e, axis, t) {
  const { selection: s, doc } = e;
  if (s && s.lanes.includes(axis) && t >= s.a && t < s.b) return [s.a, s.b];
  const entries = activeTracks(doc)[axis];
  const value = valueAt(entries, t);
  const ramp = edit.rampAt(doc, axis, t);
  if (ramp) return [ramp[0], Math.min(doc.length, ramp[0] + ramp[3])];
  let a = t;
  let b = t + 1;
  while (a > 0 && valueAt(entries, a - 1) === value && !edit.rampAt(doc, axis, a - 1)) a--;
  while (b < doc.length && valueAt(entries, b) === value && !edit.rampAt(doc, axis, b)) b++;
  if (value !== 0) return [a, b];
  const block = blockOfInput(t);
  return [Math.max(a, firstInputOfBlock(block)), Math.min(b, firstInputOfBlock(block + 1))];
}
