// @ts-check
/** What lies over the lanes: selection, loop, markers, seeds, warnings, a ramp in the making, the cursor. */
import { MARKERS, RULER } from "./view.mjs";
import { firstInputOfBlock } from "../../model/variants.mjs";
import { seedsByBlock } from "../../model/edit_signs.mjs";

export const TAG_TOP = 12; // of a seed's number, in the lower half of the ruler
const TAG_LETTER = 5.5;
const SEED_SIGN = "⟳";

/** @typedef {import("./draw.mjs").Picture} Picture */

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function drawWarnings(ctx, { view, theme, warnings }) {
  ctx.strokeStyle = theme.warn;
  ctx.lineWidth = 1.5;
  for (const warning of warnings) {
    const row = view.rows.find((r) => r.id === warning.lane);
    const left = Math.max(view.head, view.x(warning.t));
    const right = Math.min(view.width, view.x(warning.t + warning.length));
    if (!row || right <= left) continue;
    const y = row.top + row.height - 3.5;
    ctx.beginPath();
    ctx.moveTo(left, y);
    for (let x = left + 3, i = 1; x <= right; x += 3, i++) ctx.lineTo(x, y + (i % 2 ? 2 : 0));
    ctx.stroke();
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function drawSelection(ctx, { view, theme, selection }) {
  if (!selection) return;
  const left = view.x(selection.a);
  const width = (selection.b - selection.a) * view.perFrame;
  for (const row of view.rows) {
    if (!selection.lanes.includes(row.id)) continue;
    ctx.fillStyle = theme.select;
    ctx.fillRect(left, row.top, width, row.height - 1);
  }
  const rows = view.rows.filter((row) => selection.lanes.includes(row.id));
  if (!rows.length) return;
  const top = rows[0].top;
  const bottom = rows[rows.length - 1].top + rows[rows.length - 1].height;
  ctx.strokeStyle = theme.accent;
  ctx.lineWidth = 1;
  ctx.setLineDash([4, 3]);
  ctx.strokeRect(left + 0.5, top + 0.5, width - 1, bottom - top - 2);
  ctx.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function drawLoop(ctx, { doc, view, theme }) {
  if (!doc.loop) return;
  const [a, b] = doc.loop.map((t) => view.x(t));
  ctx.fillStyle = theme.accent;
  ctx.globalAlpha = 0.9;
  ctx.fillRect(a, RULER - 3, b - a, 3);
  ctx.globalAlpha = 1;
  for (const [x, side] of [
    [a, 1],
    [b, -1],
  ]) {
    ctx.beginPath();
    ctx.moveTo(x, RULER - 9);
    ctx.lineTo(x + side * 6, RULER - 3);
    ctx.lineTo(x, RULER - 3);
    ctx.fill();
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function drawMarkers(ctx, { doc, view, theme, pinned }) {
  const y = view.markersTop;
  doc.markers.forEach((marker, i) => {
    const x = view.x(marker.t);
    const next = i + 1 < doc.markers.length ? view.x(doc.markers[i + 1].t) : view.width;
    if (x > view.width || next < view.head) return;
    ctx.fillStyle = theme.warn;
    ctx.globalAlpha = 0.4;
    ctx.fillRect(Math.round(x), y + 4, 1, view.lanesBottom - y - 4);
    ctx.globalAlpha = 1;
    ctx.beginPath();
    if (marker.pin) ctx.arc(x + 0.5, y + 7, 4.5, 0, 7);
    else {
      ctx.moveTo(x - 4, y + 4);
      ctx.lineTo(x + 4, y + 4);
      ctx.lineTo(x, y + 11);
    }
    ctx.fill();
    const room = next - x - 12;
    if (room < 14) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x + 6, y, room, MARKERS);
    ctx.clip();
    ctx.fillStyle = theme.text;
    ctx.fillText(marker.pin ? `${marker.name} (${pinned})` : marker.name, x + 7, y + 9);
    ctx.restore();
  });
}

/**
 * Where the numbers of other seeds stand, each at the beginning of its block and as far as the next.
 * @param {import("../../model/document.mjs").Timeline} doc @param {import("./view.mjs").View} view
 */
export function seedTags(doc, view) {
  const tags = Array.from(seedsByBlock(doc), ([block, seed]) => {
    const t = firstInputOfBlock(block);
    return { t, label: `${SEED_SIGN} ${seed}`, x: view.x(t) };
  });
  return tags.map((tag, i) => {
    const room = (tags[i + 1]?.x ?? Infinity) - tag.x - 1;
    return { ...tag, width: Math.max(4, Math.min(room, 8 + tag.label.length * TAG_LETTER)) };
  });
}

/**
 * Other seeds: a line where each begins, with its number in the ruler.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p
 */
export function drawSeeds(ctx, { doc, view, theme }) {
  ctx.save();
  ctx.font = "9px Inter, system-ui, sans-serif";
  for (const { x, width, label } of seedTags(doc, view)) {
    if (x > view.width || x + width < view.head) continue;
    ctx.fillStyle = theme.text;
    ctx.fillRect(Math.round(x), TAG_TOP, 1.5, view.lanesTop - TAG_TOP);
    ctx.beginPath();
    ctx.roundRect(x, TAG_TOP, width, RULER - TAG_TOP - 1, [0, 3, 3, 0]);
    ctx.fill();
    ctx.fillStyle = theme.bg;
    if (width > 12) ctx.fillText(label, x + 4, (TAG_TOP + RULER) / 2, width - 6);
  }
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function drawRamp(ctx, { doc, view, theme, ramp }) {
  const row = ramp && view.rows.find((r) => r.id === ramp.axis);
  if (!ramp || !row) return;
  ctx.strokeStyle = theme.accent;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([5, 4]);
  ctx.beginPath();
  ctx.moveTo(view.x(ramp.a), view.yOf(doc, row, ramp.v0));
  ctx.lineTo(view.x(ramp.b), view.yOf(doc, row, ramp.v1));
  ctx.stroke();
  ctx.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function drawCursor(ctx, p) {
  const { view, theme, cursor, playhead, focused } = p;
  const t = playhead ?? cursor.t;
  const x = view.x(t);
  ctx.fillStyle = playhead === null ? theme.accent : theme.rec;
  ctx.fillRect(Math.round(x), RULER - 2, 1.5, view.lanesBottom - RULER + 2);
  ctx.beginPath();
  ctx.moveTo(x - 5, RULER - 10);
  ctx.lineTo(x + 6, RULER - 10);
  ctx.lineTo(x + 0.5, RULER - 2);
  ctx.fill();
  const row = view.rows.find((r) => r.id === cursor.lane);
  if (!focused || !row || playhead !== null) return;
  ctx.strokeStyle = theme.accent;
  ctx.lineWidth = 2;
  ctx.strokeRect(view.x(cursor.t) - 1, row.top + 1, Math.max(4, view.perFrame) + 2, row.height - 3);
}
