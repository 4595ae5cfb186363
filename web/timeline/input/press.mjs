// @ts-check
/** What a press on the canvas begins, and the pointer's shape before it. */
import { activeTracks } from "../../model/document.mjs";
import { firstInputOfBlock, blockOfInput } from "../../model/variants.mjs";
import { runAt } from "../../model/tracks.mjs";
import * as edit from "../../model/edit.mjs";
import {
  drawDrag,
  handleAt,
  handleDrag,
  markerDrag,
  minimapDrag,
  paintDrag,
  panDrag,
  rampDrag,
  rulerDrag,
  selectDrag,
  EDGE,
} from "./gestures.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */
/** @typedef {import("../view/view.mjs").Hit} Hit */
/** @typedef {import("./gestures.mjs").Point} Point */
/** @typedef {import("./gestures.mjs").Drag} Drag */

/** What a press in the column of names does. @param {Editor} e @param {Hit} hit @param {Point} start */
function pressName(e, hit, start) {
  if (!hit.row) return;
  if (start.x > e.view.head - 26) e.arm(hit.row.id);
  else if (e.selection) e.toggle(hit.row.id);
  else e.moveTo(e.cursor.t, hit.row.id);
}

/** The drag that a press begins. @param {Editor} e @param {Point} start @returns {Drag | null} */
export function begin(e, start) {
  const hit = e.view.hit(e.doc, start.x, start.y);
  if (hit.header) {
    pressName(e, hit, start);
    return null;
  }
  if (hit.area === "minimap") return minimapDrag(e, start);
  if (hit.area === "ruler") return rulerDrag(e, hit, start);
  if (!e.editable) return null;
  if (hit.area === "markers") return markerDrag(e, hit, start);
  if (hit.area === "strip") {
    const block = blockOfInput(hit.t);
    e.select(firstInputOfBlock(block), Math.min(e.doc.length, firstInputOfBlock(block + 1)));
    return null;
  }
  if (!hit.row) return null;
  if (e.tool === "pan") return panDrag(e, start);
  const axis = hit.row.kind === "axis";
  const handle = e.tool === "paint" || e.ramp ? null : handleAt(e, hit, start.x, start.y);
  if (handle) return handleDrag(e, hit, start, handle);
  if (e.tool === "select") return selectDrag(e, hit, start);
  if (e.tool === "ramp" && axis) return rampDrag(e, hit, start);
  if (axis) return drawDrag(e, hit, start);
  if (start.shift && e.anchor && e.anchor.lane === hit.row.id) {
    const [a, b] = [Math.min(e.anchor.t, hit.t), Math.max(e.anchor.t, hit.t) + 1];
    e.apply((doc) => edit.toggleRange(doc, hit.row?.id ?? "", a, b));
    e.sayRange(hit.row.id, a, b);
    return null;
  }
  return paintDrag(e, hit, start);
}

/** The pointer's shape over a point. @param {Editor} e @param {number} x @param {number} y */
export function shapeAt(e, x, y) {
  const hit = e.view.hit(e.doc, x, y);
  if (hit.header) return "pointer";
  if (hit.area === "ruler" || hit.area === "minimap") return "ew-resize";
  if (e.tool === "pan") return "grab";
  if (hit.area !== "lane" || !hit.row) return "default";
  if (e.tool !== "paint" && !e.ramp && handleAt(e, hit, x, y)) return "move";
  if (e.tool !== "select") return hit.row.kind === "axis" || e.tool === "paint" ? "crosshair" : "cell";
  const runs = hit.row.kind === "key" ? activeTracks(e.doc)[hit.row.id] : [];
  if (
    runs.some(([a, n]) => n * e.view.perFrame > 2 * EDGE && [a, a + n].some((t) => Math.abs(e.view.x(t) - x) <= EDGE))
  )
    return "col-resize";
  return runAt(runs, hit.t) >= 0 || (e.selection && hit.t >= e.selection.a && hit.t < e.selection.b)
    ? "move"
    : "default";
}
