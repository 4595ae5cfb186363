// @ts-check
/** What a press on the canvas begins, and the pointer's shape before it: both by the area under it. */
import { firstInputOfBlock } from "../../model/variants.mjs";
import * as edit from "../../model/edit.mjs";
import { areaAt } from "../view/areas.mjs";
import { RULER } from "../view/view.mjs";
import * as drags from "./gestures.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */
/** @typedef {import("../view/areas.mjs").Area} Area */
/** @typedef {import("../view/view.mjs").Hit} Hit */
/** @typedef {import("../view/view.mjs").Row} Row */
/** @typedef {import("./gestures.mjs").Point} Point */
/** @typedef {import("./gestures.mjs").Drag} Drag */

/** The pointer's shape over an area; over lanes it is the tool's. @type {Record<string, string>} */
const SHAPES = {
  arm: "pointer",
  name: "pointer",
  ruler: "ew-resize",
  film: "ew-resize",
  seed: "pointer",
  loopEnd: "ew-resize",
  end: "col-resize",
  minimap: "ew-resize",
  rampEnd: "move",
  runEdge: "col-resize",
  run: "move",
  selection: "move",
};

/** The pointer's shape over a point. @param {Editor} e @param {number} x @param {number} y */
export function shapeAt(e, x, y) {
  const area = areaAt(e, x, y);
  if (area?.kind !== "lane") return SHAPES[area?.kind ?? ""] ?? "default";
  if (e.tool === "pan") return "grab";
  if (e.tool === "select") return "default";
  return area.row.kind === "axis" || e.tool === "paint" ? "crosshair" : "cell";
}

/** The drag that a press begins, if any. @param {Editor} e @param {Point} start @returns {Drag | null} */
export function begin(e, start) {
  const area = areaAt(e, start.x, start.y);
  if (!area) return null;
  const hit = e.view.hit(e.doc, start.x, start.y);
  if (area.kind === "minimap") return drags.minimapDrag(e, start);
  if (area.kind === "ruler" || area.kind === "film" || area.kind === "seed" || (area.kind === "loopEnd" && start.shift))
    return drags.rulerDrag(e, hit, start);
  if (area.kind === "end") return e.editable ? drags.endDrag(e) : null;
  if (area.kind === "loopEnd") return drags.loopDrag(e, start, area.end);
  if (area.kind === "arm") e.arm(area.row.id);
  else if (area.kind === "name" && e.selection) e.toggle(area.row.id);
  else if (area.kind === "name") e.moveTo(e.cursor.t, area.row.id);
  else if (area.kind === "corner" && hit.area === "corner" && start.y < RULER) e.nextUnit();
  else if (e.editable) return beginEdit(e, area, hit, start);
  return null;
}

/** @param {Editor} e @param {Area} area @param {Hit} hit @param {Point} start @returns {Drag | null} */
function beginEdit(e, area, hit, start) {
  if (area.kind === "marker") return drags.markerDrag(e, hit, start, area.marker);
  if (area.kind === "rampEnd") return drags.handleDrag(e, hit, start, area);
  if (area.kind === "block") {
    e.select(firstInputOfBlock(area.block), Math.min(e.doc.length, firstInputOfBlock(area.block + 1)));
  } else if (area.kind === "markers") e.moveTo(hit.t);
  else if ("row" in area)
    return e.tool === "select" ? beginSelect(e, area, hit, start) : beginDraw(e, area.row, hit, start);
  return null;
}

/**
 * Move or resize a run, move what is selected, or select anew.
 * @param {Editor} e @param {Area & {row: Row}} area @param {Hit} hit @param {Point} start
 */
function beginSelect(e, area, hit, start) {
  const lane = area.row.id;
  e.cursor = { t: hit.t, lane };
  if (area.kind === "runEdge") return drags.resizeDrag(e, lane, area.run, area.side);
  if (area.kind === "run") return drags.moveRunDrag(e, lane, area.run, hit);
  if (area.kind === "selection" && e.selection) return drags.moveSelection(e, hit, start, e.selection);
  return drags.marqueeDrag(e, hit);
}

/** @param {Editor} e @param {Row} row @param {Hit} hit @param {Point} start @returns {Drag | null} */
function beginDraw(e, row, hit, start) {
  if (e.tool === "pan") return drags.panDrag(e, start);
  if (row.kind === "axis") return e.tool === "ramp" ? drags.rampDrag(e, hit, start) : drags.drawDrag(e, hit, start);
  if (!start.shift || e.anchor?.lane !== row.id) return drags.paintDrag(e, hit, start);
  const [a, b] = [Math.min(e.anchor.t, hit.t), Math.max(e.anchor.t, hit.t) + 1];
  e.apply((doc) => edit.toggleRange(doc, row.id, a, b));
  e.sayRange(row.id, a, b);
  return null;
}
