// @ts-check
/** The picture of the timeline: only the columns that are seen, so that its cost does not grow with the length. */
import { VARIANTS, blockOfInput, blocksOfFrames, firstInputOfBlock } from "../../model/variants.mjs";
import { placeText, ticks } from "../../model/places.mjs";
import { activeTracks } from "../../model/document.mjs";
import { drawDivergence, drawOther } from "./draw_branches.mjs";
import { drawCursor, drawLoop, drawMarkers, drawRamp, drawSeeds, drawSelection, drawWarnings } from "./draw_signs.mjs";
import { MINIMAP, RULER, STRIP } from "./view.mjs";
import { drawBlock, labelOf } from "./strip.mjs";
import { drawCurve } from "./draw_camera.mjs";
import { drawReadout } from "./readout.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("./view.mjs").View} View */
/** @typedef {import("./view.mjs").Row} Row */
/** @typedef {import("./theme.mjs").Theme} Theme */
/** @typedef {import("../../model/tracks.mjs").Run} Run */
/** @typedef {import("../../model/tracks.mjs").Entry} Entry */
/**
 * @typedef {object} Picture what is drawn
 * @property {Timeline} doc
 * @property {View} view
 * @property {Theme} theme
 * @property {{t: number, lane: string}} cursor
 * @property {{a: number, b: number, lanes: string[]} | null} selection
 * @property {number | null} playhead row that is being played
 * @property {Set<string>} armed
 * @property {boolean} focused
 * @property {import("./strip.mjs").BlockState[]} blocks how each block stands to the cache or the last run
 * @property {{t: number, length: number, lane: string}[]} warnings
 * @property {{axis: string, a: number, v0: number, b: number, v1: number} | null} ramp a ramp while it is drawn
 * @property {(id: string) => string} name of a lane
 * @property {((ctx: CanvasRenderingContext2D, p: Picture) => void) | null} film draws its row, where it is shown
 * @property {import("./readout.mjs").Readout | null} readout what stands at the pointer
 * @property {string} pinned the word for a marker whose state is kept
 * @property {import("./draw_branches.mjs").Comparison | null} other the branch that is compared with
 */

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
export function draw(ctx, p) {
  const { view, theme } = p;
  ctx.clearRect(0, 0, view.width, view.height);
  ctx.font = theme.font;
  ctx.textBaseline = "middle";
  ctx.fillStyle = theme.bg;
  ctx.fillRect(0, 0, view.width, view.height);
  ctx.save();
  ctx.beginPath();
  ctx.rect(view.head, 0, view.width - view.head, view.height);
  ctx.clip();
  drawBands(ctx, p);
  for (const row of view.rows) drawLane(ctx, p, row);
  drawWarnings(ctx, p);
  drawRuler(ctx, p);
  drawStrip(ctx, p);
  p.film?.(ctx, p);
  drawSelection(ctx, p);
  drawLoop(ctx, p);
  drawMarkers(ctx, p);
  drawSeeds(ctx, p);
  drawDivergence(ctx, p);
  drawRamp(ctx, p);
  drawCursor(ctx, p);
  drawReadout(ctx, p);
  ctx.restore();
  drawHead(ctx, p);
  drawMinimap(ctx, p);
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawBands(ctx, p) {
  const { doc, view, theme } = p;
  const [from, to] = view.seen(doc);
  const top = RULER;
  const height = view.lanesBottom - top;
  for (let block = blockOfInput(from); firstInputOfBlock(block) < to; block++) {
    const a = firstInputOfBlock(block);
    const b = Math.min(doc.length, firstInputOfBlock(block + 1));
    if (block % 2) {
      ctx.fillStyle = theme.band;
      ctx.fillRect(view.x(a), top, (b - a) * view.perFrame, height);
    }
    ctx.fillStyle = theme.line;
    if (view.perFrame * 12 > 5) ctx.fillRect(Math.round(view.x(a)), top, 1, height);
  }
  if (view.perFrame >= 7) {
    ctx.fillStyle = theme.line;
    ctx.globalAlpha = 0.45;
    for (let t = from; t < to; t++)
      ctx.fillRect(Math.round(view.x(t)), view.lanesTop, 1, view.lanesBottom - view.lanesTop);
    ctx.globalAlpha = 1;
  }
  ctx.fillStyle = theme.head;
  if (to === doc.length) ctx.fillRect(view.x(doc.length), 0, view.width, view.lanesBottom);
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row */
function drawLane(ctx, p, row) {
  const { doc, view, theme } = p;
  ctx.fillStyle = theme.line;
  ctx.fillRect(view.head, row.top + row.height - 1, view.width, 1);
  if (row.kind === "axis") drawCurve(ctx, p, row);
  else if (row.kind === "idle") drawIdle(ctx, p, row);
  else for (const run of activeTracks(doc)[row.id]) drawRun(ctx, p, row, run, theme.lane(row.colour));
  drawOther(ctx, p, row, activeTracks(doc)[row.id]);
}

/**
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row @param {Run} run
 * @param {{fill: string, edge: string, ink: string}} ink @param {number} [alpha]
 */
function drawRun(ctx, { view, name }, row, [start, length], ink, alpha = 1) {
  const left = view.x(start);
  const width = Math.max(1.5, length * view.perFrame - (view.perFrame > 3 ? 1 : 0));
  if (left > view.width || left + width < view.head) return;
  const pad = Math.min(5, row.height * 0.16);
  ctx.fillStyle = ink.fill;
  ctx.globalAlpha = alpha;
  ctx.beginPath();
  ctx.roundRect(left + 0.5, row.top + pad, width, row.height - 2 * pad - 1, Math.min(4, width / 2));
  ctx.fill();
  ctx.globalAlpha = 1;
  const shownFrom = Math.max(left, view.head) + 5;
  const label = `${name(row.id)} ${length}`;
  if (left + width - shownFrom < 8 + label.length * 6.2) return;
  ctx.fillStyle = ink.ink;
  ctx.fillText(label, shownFrom + 1, row.top + row.height / 2);
}

/**
 * Rows in which no other key is held: what the network is given is `idle`.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row
 */
function drawIdle(ctx, p, row) {
  const tracks = activeTracks(p.doc);
  const held = VARIANTS[p.doc.variant].keys.flatMap((key) => tracks[key] ?? []).sort((a, b) => a[0] - b[0]);
  const ink = { ...p.theme.lane(row.colour), ink: p.theme.text };
  let free = 0;
  for (const [start, length] of [...held, [p.doc.length, 0]]) {
    if (start > free) drawRun(ctx, p, row, [free, start - free], ink, 0.35);
    free = Math.max(free, start + length);
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawRuler(ctx, p) {
  const { doc, view, theme } = p;
  const [from, to] = view.seen(doc);
  ctx.fillStyle = theme.head;
  ctx.fillRect(view.head, 0, view.width, RULER);
  const { major, minor } = ticks(view.unit, from, to, view.perFrame);
  ctx.fillStyle = theme.strong;
  for (const t of minor) ctx.fillRect(Math.round(view.x(t)), RULER - 3, 1, 3);
  for (const { t, label } of major) {
    const x = Math.round(view.x(t));
    ctx.fillStyle = theme.strong;
    ctx.fillRect(x, RULER - 7, 1, 7);
    ctx.fillStyle = theme.text;
    ctx.fillText(label, x + 3, 7);
    const width = ctx.measureText(label).width;
    const room = view.unit === "seconds" ? 0 : (major[1]?.t - major[0].t) * view.perFrame;
    if (room > 84 && t && x + width + 46 < view.width) {
      ctx.fillStyle = theme.dim;
      ctx.fillText(placeText(t, "seconds"), x + width + 8, 7);
    }
  }
  const end = Math.round(view.x(doc.length));
  ctx.fillStyle = theme.strong;
  ctx.fillRect(end, 0, 1, view.lanesBottom);
  ctx.fillStyle = theme.dim;
  ctx.fillRect(end, 2, 3, RULER - 4); // where it is dragged
}

/**
 * Blocks of the rollout; those whose inputs changed since the last run are hatched.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p
 */
function drawStrip(ctx, p) {
  const { doc, view, theme, blocks: states } = p;
  const [from, to] = view.seen(doc);
  const blocks = blocksOfFrames(doc.length);
  for (let block = blockOfInput(from); block < blocks && firstInputOfBlock(block) <= to; block++) {
    const left = view.x(firstInputOfBlock(block));
    const width = view.x(Math.min(doc.length, firstInputOfBlock(block + 1))) - left;
    const state = states[block] ?? "none";
    drawBlock(ctx, theme, state, left + 0.5, RULER + 3, width - 1, STRIP - 6);
    const inside = Math.max(left, view.head);
    if (left + width - inside > 30) {
      const label = labelOf(block, state) + (p.other?.at && block >= p.other.at.block ? " ≠" : "");
      ctx.font = "9px Inter, system-ui, sans-serif";
      const w = ctx.measureText(label).width;
      ctx.fillStyle = theme.bg;
      ctx.fillRect(inside + 2, RULER + 1, w + 6, STRIP - 2);
      ctx.fillStyle = theme.text;
      ctx.fillText(label, inside + 5, RULER + STRIP / 2 + 0.5);
      ctx.font = theme.font;
    }
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawHead(ctx, p) {
  const { view, theme, cursor, armed, focused, doc } = p;
  ctx.fillStyle = theme.head;
  ctx.fillRect(0, 0, view.head, view.height);
  ctx.fillStyle = theme.strong;
  ctx.fillRect(view.head - 1, 0, 1, view.lanesBottom);
  ctx.fillStyle = theme.dim;
  ctx.fillText(placeText(p.playhead ?? cursor.t, view.unit), 8, RULER / 2);
  for (const row of view.rows) {
    if (focused && row.id === cursor.lane) {
      ctx.fillStyle = theme.select;
      ctx.fillRect(0, row.top, view.head - 1, row.height - 1);
    }
    const ink = theme.lane(row.colour);
    ctx.fillStyle = ink.fill;
    ctx.fillRect(0, row.top + 3, 3, row.height - 7);
    ctx.fillStyle = theme.text;
    ctx.fillText(p.name(row.id), 9, row.top + (row.kind === "axis" ? 12 : row.height / 2), view.head - 28);
    drawArm(ctx, theme, view.head - 13, row.top + (row.kind === "axis" ? 12 : row.height / 2), armed.has(row.id));
    if (row.kind !== "axis") continue;
    ctx.fillStyle = theme.dim;
    const range = view.range(doc, row.id);
    ctx.fillText(`±${range}`, 9, row.top + row.height - 11);
  }
}

/**
 * The dot that arms a lane for recording: filled with a ring around it when armed.
 * @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {number} x @param {number} y @param {boolean} on
 */
function drawArm(ctx, theme, x, y, on) {
  ctx.beginPath();
  ctx.arc(x, y, on ? 5 : 4, 0, 7);
  ctx.lineWidth = 1.2;
  ctx.strokeStyle = on ? theme.rec : theme.strong;
  ctx.stroke();
  if (!on) return;
  ctx.beginPath();
  ctx.arc(x, y, 3, 0, 7);
  ctx.fillStyle = theme.rec;
  ctx.fill();
}

/**
 * The whole document in one line, with a frame around what is seen.
 * @param {CanvasRenderingContext2D} ctx @param {Picture} p
 */
function drawMinimap(ctx, { doc, view, theme, cursor, playhead }) {
  const top = view.lanesBottom;
  const width = view.width - view.head;
  const x = (/** @type {number} */ t) => view.head + (t / doc.length) * width;
  ctx.fillStyle = theme.head;
  ctx.fillRect(0, top, view.width, MINIMAP);
  const tracks = activeTracks(doc);
  const height = (MINIMAP - 6) / view.rows.length;
  view.rows.forEach((row, i) => {
    ctx.fillStyle = theme.lane(row.colour).fill;
    const y = top + 3 + i * height;
    if (row.kind === "key")
      for (const [a, n] of tracks[row.id])
        ctx.fillRect(x(a), y, Math.max(1, (n / doc.length) * width), Math.max(1, height - 0.5));
    if (row.kind !== "axis") return;
    for (const [a, n] of movingRuns(tracks[row.id], doc.length))
      ctx.fillRect(x(a), y, Math.max(1, (n / doc.length) * width), Math.max(1, height - 0.5));
  });
  ctx.strokeStyle = theme.accent;
  ctx.lineWidth = 1;
  ctx.strokeRect(x(view.scroll) + 0.5, top + 1.5, Math.min(width, (view.span / doc.length) * width) - 1, MINIMAP - 3);
  ctx.fillStyle = theme.text;
  ctx.fillRect(x(playhead ?? cursor.t), top + 1, 1, MINIMAP - 2);
}

/** Where a camera lane is not at rest. @param {Entry[]} entries @param {number} length @returns {Run[]} */
function movingRuns(entries, length) {
  /** @type {Run[]} */
  const out = [];
  entries.forEach((entry, i) => {
    const end = Math.min(length, entries[i + 1]?.[0] ?? length);
    if (entry.length === 2 && entry[1] === 0) return;
    const last = out[out.length - 1];
    if (last && last[0] + last[1] === entry[0]) last[1] = end - last[0];
    else out.push([entry[0], end - entry[0]]);
  });
  return out;
}
