// @ts-check
/** The other branch behind the one in use: its inputs as outlines, where the two part, and where it was forked. */
import { sampleCurve } from "../../model/tracks.mjs";
import { firstInputOfBlock } from "../../model/variants.mjs";
import { RULER } from "./view.mjs";

const FLAG = 17; // height of the other branch's name

/** @typedef {import("./draw.mjs").Picture} Picture */
/** @typedef {import("./view.mjs").Row} Row */
/**
 * @typedef {object} Comparison
 * @property {string} name of the other branch
 * @property {import("../../model/document.mjs").Tracks} tracks its lanes
 * @property {import("../editing/branches.mjs").Divergence | null} at where the two begin to differ
 * @property {number} fork the row where the younger one was forked
 */

/**
 * What the other branch holds from the first difference on.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row @param {any[]} mine the lane in use
 */
export function drawOther(ctx, p, row, mine) {
  const { other } = p;
  const theirs = other?.tracks[row.id];
  if (!other?.at || !theirs || theirs === mine) return;
  ctx.save();
  ctx.strokeStyle = p.theme.text;
  ctx.globalAlpha = 0.75;
  ctx.lineWidth = 1;
  ctx.setLineDash([3, 2]);
  if (row.kind === "axis") drawCurve(ctx, p, row, theirs, other.at.row);
  else {
    const shared = new Set(mine.map(String));
    for (const run of theirs)
      if (!shared.has(String(run))) drawRun(ctx, p, row, Math.max(run[0], other.at.row), run[0] + run[1]);
  }
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row @param {number} a @param {number} b */
function drawRun(ctx, { view }, row, a, b) {
  const left = view.x(a);
  const width = (b - a) * view.perFrame;
  if (width <= 0 || left > view.width || left + width < view.head) return;
  ctx.strokeRect(left + 0.5, row.top + 2.5, Math.max(1, width - 1), row.height - 6);
}

/**
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row
 * @param {import("../../model/tracks.mjs").Entry[]} entries @param {number} from
 */
function drawCurve(ctx, { doc, view }, row, entries, from) {
  const a = Math.max(from, Math.floor(view.scroll));
  const b = Math.min(doc.length, Math.ceil(view.scroll + view.span));
  if (b <= a) return;
  ctx.beginPath();
  sampleCurve(entries, a, b).forEach((value, i) => {
    const y = Math.max(row.top + 2, Math.min(row.top + row.height - 3, view.yOf(doc, row, value)));
    ctx.lineTo(view.x(a + i), y);
    ctx.lineTo(view.x(a + i + 1), y);
  });
  ctx.stroke();
}

/**
 * A line where the first block begins that is not shared, with the name of the other branch.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p
 */
export function drawDivergence(ctx, p) {
  const { other, view, theme } = p;
  if (!other) return;
  const marked = p.doc.markers.some((marker) => marker.t === other.fork);
  drawFork(ctx, p, view.x(other.fork) - (marked ? 11 : 0));
  if (!other.at) return;
  const x = Math.round(view.x(firstInputOfBlock(other.at.block))) + 0.5;
  ctx.save();
  ctx.strokeStyle = theme.text;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([5, 3]);
  ctx.beginPath();
  ctx.moveTo(x, RULER);
  ctx.lineTo(x, view.lanesBottom);
  ctx.stroke();
  ctx.setLineDash([]);
  const label = `≠ ${other.name}`;
  const width = Math.min(ctx.measureText(label).width, 120) + 8;
  const left = Math.max(view.head, Math.min(x + 2, view.width - width));
  const y = view.lanesBottom - FLAG - 1;
  ctx.fillStyle = theme.text;
  ctx.fillRect(left, y, width, FLAG);
  ctx.fillStyle = theme.bg;
  ctx.fillText(label, left + 4, y + FLAG / 2 + 0.5, width - 8);
  ctx.restore();
}

/**
 * Where a branch was forked: a line that splits.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {number} x
 */
function drawFork(ctx, { theme, view }, x) {
  const y = view.lanesTop - 2;
  ctx.save();
  ctx.strokeStyle = theme.text;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(x, y - 11);
  ctx.moveTo(x, y - 2);
  ctx.quadraticCurveTo(x + 5, y - 3, x + 5, y - 11);
  ctx.stroke();
  ctx.restore();
}
