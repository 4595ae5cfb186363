// @ts-check
/** What stands at the pointer: the camera value and the time there, or what is being drawn. */
import { runAt } from "../../model/tracks.mjs";
import { activeTracks } from "../../model/document.mjs";
import { secondsOf } from "../../model/variants.mjs";
import { degreesText, signed } from "../../model/turns.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */
/** @typedef {{x: number, y: number, text: string}} Readout */

const AWAY = 14; // pixels from the pointer
const HEIGHT = 18;

/**
 * @param {Editor} editor @param {{x: number, y: number}} p @param {boolean} dragging
 * @returns {Readout | null}
 */
export function readoutAt(editor, p, dragging) {
  const { view, doc, words, ramp } = editor;
  const hit = view.hit(doc, p.x, p.y);
  const row = dragging ? (view.rows.find(({ id }) => id === (ramp?.axis ?? editor.cursor.lane)) ?? hit.row) : hit.row;
  if (!row || (!dragging && (hit.header || row.kind !== "axis")) || editor.tool === "pan") return null;
  const s = secondsOf(hit.t).toFixed(2);
  const at = (/** @type {string} */ text) => ({ x: p.x, y: p.y, text });
  if (ramp) {
    const n = Math.abs(ramp.b - ramp.a);
    return at(words("exact.line", { v0: signed(ramp.v0), v1: signed(ramp.v1), n, s: secondsOf(n).toFixed(2) }));
  }
  if (row.kind === "axis") {
    const value = (dragging ? editor.drawn : null) ?? view.valueOf(doc, row, p.y);
    const degrees = degreesText(value * editor.variant.camera.unit);
    return at(words("exact.value", { value: signed(value), degrees, s }));
  }
  const runs = row.kind === "key" ? activeTracks(doc)[row.id] : [];
  const run = runs[runAt(runs, hit.t)];
  if (!run) return null;
  return at(words("exact.run", { lane: editor.nameOf(row.id), n: run[1], s: secondsOf(run[1]).toFixed(2) }));
}

/** @param {CanvasRenderingContext2D} ctx @param {import("./draw.mjs").Picture} p */
export function drawReadout(ctx, { view, theme, readout }) {
  if (!readout) return;
  const width = ctx.measureText(readout.text).width + 10;
  const left = readout.x + AWAY + width > view.width ? readout.x - AWAY - width : readout.x + AWAY;
  const top = Math.max(2, readout.y - AWAY - HEIGHT);
  ctx.fillStyle = theme.head;
  ctx.strokeStyle = theme.strong;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.roundRect(Math.max(view.head + 2, left) + 0.5, top + 0.5, width, HEIGHT, 4);
  ctx.fill();
  ctx.stroke();
  ctx.fillStyle = theme.text;
  ctx.fillText(readout.text, Math.max(view.head + 2, left) + 5.5, top + HEIGHT / 2 + 1);
}
