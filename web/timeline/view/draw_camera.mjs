// @ts-check
/** A camera lane: its curve, the ends of its ramps, and what it holds. */
import { activeTracks } from "../../model/document.mjs";
import { entryAt, sampleCurve } from "../../model/tracks.mjs";
import { signed } from "../../model/turns.mjs";

/** @typedef {import("./draw.mjs").Picture} Picture */
/** @typedef {import("./view.mjs").Row} Row */
/** @typedef {import("../../model/tracks.mjs").Entry} Entry */

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row */
export function drawCurve(ctx, p, row) {
  const { doc, view, theme } = p;
  const [from, to] = view.seen(doc);
  const ink = theme.lane(row.colour);
  const entries = activeTracks(doc)[row.id];
  const y = (/** @type {number} */ value) => view.yOf(doc, row, value);
  const zero = y(0);
  ctx.fillStyle = theme.strong;
  ctx.globalAlpha = 0.5;
  ctx.fillRect(view.head, Math.round(zero), view.width, 1);
  ctx.globalAlpha = 1;
  const values = sampleCurve(entries, from, to);
  const columns = columnsOf(values, (i) => view.x(from + i), y);
  ctx.fillStyle = ink.fill;
  ctx.globalAlpha = 0.3;
  for (const { x, width, low, high } of columns) {
    const top = Math.min(zero, high);
    ctx.fillRect(x, top, width, Math.max(zero, low) - top);
  }
  ctx.globalAlpha = 1;
  let before = columns[0];
  for (const column of columns) {
    // up or down from where the last one ended, so that the line is whole; rectangles are far cheaper than a stroke
    const top = Math.min(column.high, before.last);
    const bottom = Math.max(column.low, before.last);
    if (bottom - top > column.low - column.high + 0.5) ctx.fillRect(column.x - 1, top - 1, 2, bottom - top + 2);
    ctx.fillRect(column.x, column.high - 1, column.width, column.low - column.high + 2);
    before = column;
  }
  drawKnots(ctx, p, row, entries, from, to);
}

/** @typedef {{x: number, width: number, low: number, high: number, last: number}} Column low is lower on the canvas */

/**
 * Stretches of one value, or where rows are narrower than a pixel, what lies in each pixel.
 * @param {number[]} values @param {(i: number) => number} x @param {(value: number) => number} y @returns {Column[]}
 */
function columnsOf(values, x, y) {
  /** @type {Column[]} */
  const out = [];
  values.forEach((value, i) => {
    const [left, right, at] = [Math.round(x(i)), Math.round(x(i + 1)), y(value)];
    const now = out[out.length - 1];
    const joins = now && (now.x + 1 >= right || (now.low === now.high && now.last === at));
    if (!joins) {
      out.push({ x: left, width: right - left, low: at, high: at, last: at });
      return;
    }
    now.width = right - now.x;
    now.low = Math.max(now.low, at);
    now.high = Math.min(now.high, at);
    now.last = at;
  });
  return out;
}

/**
 * Handles of ramps, and the value of holds that are wide enough to carry it.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row @param {Entry[]} entries
 * @param {number} from @param {number} to
 */
function drawKnots(ctx, p, row, entries, from, to) {
  const { doc, view, theme } = p;
  const ink = theme.lane(row.colour);
  for (let i = Math.max(0, entryAt(entries, from)); i < entries.length && entries[i][0] < to; i++) {
    const entry = entries[i];
    const next = entries[i + 1]?.[0] ?? doc.length;
    const wide = (next - entry[0]) * view.perFrame;
    if (entry.length === 5) {
      for (const [t, value] of [
        [entry[0], entry[1]],
        [entry[0] + entry[3], entry[4]],
      ]) {
        ctx.fillStyle = theme.bg;
        ctx.strokeStyle = ink.edge;
        ctx.lineWidth = 1.5;
        ctx.beginPath();
        ctx.arc(view.x(t), view.yOf(doc, row, value), 3, 0, 7);
        ctx.fill();
        ctx.stroke();
      }
      drawRampLabel(ctx, p, row, entry);
    } else if (wide > 40 && entry[1] !== 0) {
      const above = entry[1] < 0;
      ctx.fillStyle = theme.text;
      const label = `${entry[1] > 0 ? "+" : "−"}${Math.abs(entry[1])}`;
      const y = view.yOf(doc, row, entry[1]) + (above ? -8 : 9);
      ctx.fillText(
        label,
        Math.max(view.x(entry[0]), view.head) + 5,
        Math.max(row.top + 7, Math.min(row.top + row.height - 8, y)),
      );
    }
  }
}

/**
 * From what to what a ramp goes, where it is wide enough; on the side of its middle where there is more room.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row
 * @param {[number, number, string, number, number]} ramp
 */
function drawRampLabel(ctx, { doc, view, theme }, row, [t, v0, , rows, v1]) {
  const label = `${signed(v0)} → ${signed(v1)}`;
  const width = ctx.measureText(label).width;
  const left = Math.max(view.x(t), view.head);
  const right = Math.min(view.x(t + rows), view.width);
  if (right - left < width + 16) return;
  const middle = view.yOf(doc, row, (v0 + v1) / 2) - row.top;
  ctx.fillStyle = theme.text;
  ctx.fillText(label, (left + right - width) / 2, row.top + (middle > row.height / 2 ? 9 : row.height - 10));
}
