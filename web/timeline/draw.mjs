// @ts-check
/** The picture of the timeline: only the columns that are seen, so that its cost does not grow with the length. */
import { FPS, VARIANTS, blockOfInput, blocksOfFrames, firstInputOfBlock } from "./variants.mjs";
import { activeTracks } from "./document.mjs";
import { entryAt, sampleCurve } from "./tracks.mjs";
import { MARKERS, MINIMAP, RULER, STRIP } from "./view.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */
/** @typedef {import("./view.mjs").View} View */
/** @typedef {import("./view.mjs").Row} Row */
/** @typedef {import("./theme.mjs").Theme} Theme */
/** @typedef {import("./tracks.mjs").Run} Run */
/** @typedef {import("./tracks.mjs").Entry} Entry */
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
 * @property {("none"|"stale"|"done")[]} blocks how each block stands to the last run
 * @property {{t: number, length: number, lane: string}[]} warnings
 * @property {{axis: string, a: number, v0: number, b: number, v1: number} | null} ramp a ramp while it is drawn
 * @property {(id: string) => string} name of a lane
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
  drawSelection(ctx, p);
  drawLoop(ctx, p);
  drawMarkers(ctx, p);
  drawRamp(ctx, p);
  drawCursor(ctx, p);
  ctx.restore();
  drawHead(ctx, p);
  drawMinimap(ctx, p);
}

/** First and last row that are seen. @param {Picture} p @returns {[number, number]} */
function seen({ doc, view }) {
  return [Math.max(0, Math.floor(view.scroll)), Math.min(doc.length, Math.ceil(view.scroll + view.span))];
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawBands(ctx, p) {
  const { doc, view, theme } = p;
  const [from, to] = seen(p);
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
    for (let t = from; t < to; t++) ctx.fillRect(Math.round(view.x(t)), view.lanesTop, 1, view.lanesBottom - view.lanesTop);
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
  else for (const run of activeTracks(doc)[row.id]) drawRun(ctx, p, row, run, theme.lane(row.id));
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row @param {Run} run @param {{fill: string, edge: string, ink: string}} ink */
function drawRun(ctx, { view, name }, row, [start, length], ink) {
  const left = view.x(start);
  const width = Math.max(1.5, length * view.perFrame - (view.perFrame > 3 ? 1 : 0));
  if (left > view.width || left + width < view.head) return;
  const pad = Math.min(5, row.height * 0.16);
  ctx.fillStyle = ink.fill;
  ctx.beginPath();
  ctx.roundRect(left + 0.5, row.top + pad, width, row.height - 2 * pad - 1, Math.min(4, width / 2));
  ctx.fill();
  const shownFrom = Math.max(left, view.head) + 5;
  const label = `${name(row.id)} ${length}`;
  if (left + width - shownFrom < 8 + label.length * 6.2) return;
  ctx.fillStyle = ink.ink;
  ctx.fillText(label, shownFrom + 1, row.top + row.height / 2);
}

/** Rows in which no other key is held: what the network is given is `idle`. @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row */
function drawIdle(ctx, p, row) {
  const tracks = activeTracks(p.doc);
  const held = VARIANTS[p.doc.variant].keys.flatMap((key) => tracks[key] ?? []).sort((a, b) => a[0] - b[0]);
  const ink = p.theme.lane(row.id);
  let free = 0;
  ctx.globalAlpha = 0.55;
  for (const [start, length] of [...held, [p.doc.length, 0]]) {
    if (start > free) drawRun(ctx, p, row, [free, start - free], ink);
    free = Math.max(free, start + length);
  }
  ctx.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row */
function drawCurve(ctx, p, row) {
  const { doc, view, theme } = p;
  const [from, to] = seen(p);
  const ink = theme.lane(row.id);
  const entries = activeTracks(doc)[row.id];
  const y = (/** @type {number} */ value) => view.yOf(doc, row, value);
  const zero = y(0);
  ctx.fillStyle = theme.strong;
  ctx.globalAlpha = 0.5;
  ctx.fillRect(view.head, Math.round(zero), view.width, 1);
  ctx.globalAlpha = 1;
  const values = sampleCurve(entries, from, to);
  /** @type {[number, number][]} */
  const points = [];
  values.forEach((value, i) => {
    if (i && i < values.length - 1 && value === values[i - 1] && view.perFrame < 1) return;
    points.push([view.x(from + i), y(value)], [view.x(from + i + 1), y(value)]);
  });
  if (!points.length) return;
  ctx.beginPath();
  ctx.moveTo(points[0][0], zero);
  for (const [px, py] of points) ctx.lineTo(px, py);
  ctx.lineTo(points[points.length - 1][0], zero);
  ctx.fillStyle = ink.fill;
  ctx.globalAlpha = 0.3;
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.beginPath();
  points.forEach(([px, py], i) => (i ? ctx.lineTo(px, py) : ctx.moveTo(px, py)));
  ctx.strokeStyle = ink.fill;
  ctx.lineWidth = 2;
  ctx.stroke();
  drawKnots(ctx, p, row, entries, from, to);
}

/** Handles of ramps, and the value of holds that are wide enough to carry it. @param {CanvasRenderingContext2D} ctx @param {Picture} p @param {Row} row @param {Entry[]} entries @param {number} from @param {number} to */
function drawKnots(ctx, p, row, entries, from, to) {
  const { doc, view, theme } = p;
  const ink = theme.lane(row.id);
  for (let i = Math.max(0, entryAt(entries, from)); i < entries.length && entries[i][0] < to; i++) {
    const entry = entries[i];
    const next = entries[i + 1]?.[0] ?? doc.length;
    const wide = (next - entry[0]) * view.perFrame;
    if (entry.length === 5) {
      for (const [t, value] of [[entry[0], entry[1]], [entry[0] + entry[3], entry[4]]]) {
        ctx.fillStyle = theme.bg;
        ctx.strokeStyle = ink.edge;
        ctx.lineWidth = 1.5;
        ctx.beginPath();
        ctx.arc(view.x(t), view.yOf(doc, row, value), 3, 0, 7);
        ctx.fill();
        ctx.stroke();
      }
    } else if (wide > 40 && entry[1] !== 0) {
      const above = entry[1] < 0;
      ctx.fillStyle = theme.text;
      const label = `${entry[1] > 0 ? "+" : "−"}${Math.abs(entry[1])}`;
      const y = view.yOf(doc, row, entry[1]) + (above ? -8 : 9);
      ctx.fillText(label, Math.max(view.x(entry[0]), view.head) + 5, Math.max(row.top + 7, Math.min(row.top + row.height - 8, y)));
    }
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawWarnings(ctx, { view, theme, warnings }) {
  ctx.strokeStyle = theme.warn;
  ctx.lineWidth = 1.5;
  for (const warning of warnings) {
    const row = view.rows.find((r) => r.id === warning.lane);
    const left = Math.max(view.head, view.x(warning.t));
    const right = Math.min(view.width, view.x(warning.t + warning.length));
    if (!row || right <= left) continue;
    const y = row.top + row.height - 3.5;
    ctx.beginPath();
    for (let x = left, i = 0; x <= right; x += 3, i++) i ? ctx.lineTo(x, y + (i % 2 ? 2 : 0)) : ctx.moveTo(x, y);
    ctx.stroke();
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawRuler(ctx, p) {
  const { doc, view, theme } = p;
  const [from, to] = seen(p);
  ctx.fillStyle = theme.head;
  ctx.fillRect(view.head, 0, view.width, RULER);
  const step = [1, 2, 4, 12, 24, 48, 120, 240, 600, 1200, 3000, 12000].find((n) => n * view.perFrame >= 52) ?? 30000;
  const minor = step >= 12 ? step / 4 : 1;
  ctx.fillStyle = theme.strong;
  for (let t = from - (from % minor); t <= to; t += minor) {
    if (minor * view.perFrame >= 4) ctx.fillRect(Math.round(view.x(t)), RULER - 3, 1, 3);
  }
  for (let t = from - (from % step); t <= to; t += step) {
    const x = Math.round(view.x(t));
    ctx.fillStyle = theme.strong;
    ctx.fillRect(x, RULER - 7, 1, 7);
    ctx.fillStyle = theme.text;
    ctx.fillText(String(t), x + 3, 7);
    if (step * view.perFrame > 84 && t) {
      const width = ctx.measureText(String(t)).width;
      ctx.fillStyle = theme.dim;
      ctx.fillText(`${Number((t / FPS).toFixed(2))}s`, x + width + 8, 7);
    }
  }
  ctx.fillStyle = theme.strong;
  ctx.fillRect(Math.round(view.x(doc.length)), 0, 1, view.lanesBottom);
}

/** Blocks of the rollout; those whose inputs changed since the last run are hatched. @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawStrip(ctx, p) {
  const { doc, view, theme, blocks: states } = p;
  const [from, to] = seen(p);
  const blocks = blocksOfFrames(doc.length);
  for (let block = blockOfInput(from); block < blocks && firstInputOfBlock(block) <= to; block++) {
    const left = view.x(firstInputOfBlock(block));
    const width = view.x(Math.min(doc.length, firstInputOfBlock(block + 1))) - left;
    const state = states[block] ?? "none";
    ctx.fillStyle = state === "done" ? theme.lane("w").fill : theme.line;
    ctx.fillRect(left + 0.5, RULER + 3, Math.max(0.5, width - 1), STRIP - 6);
    if (state === "stale") hatch(ctx, theme, left, RULER + 3, width - 1, STRIP - 6);
    const inside = Math.max(left, view.head);
    if (left + width - inside > 30) {
      const label = String(block);
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

/** @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {number} x @param {number} y @param {number} w @param {number} h */
function hatch(ctx, theme, x, y, w, h) {
  if (w < 6) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.strokeStyle = theme.strong;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let i = x - (x % 6) - h; i < x + w; i += 6) {
    ctx.moveTo(i, y + h);
    ctx.lineTo(i + h, y);
  }
  ctx.stroke();
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawSelection(ctx, { view, theme, selection }) {
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
function drawLoop(ctx, { doc, view, theme }) {
  if (!doc.loop) return;
  const [a, b] = doc.loop.map((t) => view.x(t));
  ctx.fillStyle = theme.accent;
  ctx.globalAlpha = 0.9;
  ctx.fillRect(a, RULER - 3, b - a, 3);
  ctx.globalAlpha = 1;
  for (const [x, side] of [[a, 1], [b, -1]]) {
    ctx.beginPath();
    ctx.moveTo(x, RULER - 9);
    ctx.lineTo(x + side * 6, RULER - 3);
    ctx.lineTo(x, RULER - 3);
    ctx.fill();
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawMarkers(ctx, { doc, view, theme }) {
  const y = RULER + STRIP;
  doc.markers.forEach((marker, i) => {
    const x = view.x(marker.t);
    const next = i + 1 < doc.markers.length ? view.x(doc.markers[i + 1].t) : view.width;
    if (x > view.width || next < view.head) return;
    ctx.fillStyle = theme.warn;
    ctx.globalAlpha = 0.4;
    ctx.fillRect(Math.round(x), y + 4, 1, view.lanesBottom - y - 4);
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x - 4, y + 4);
    ctx.lineTo(x + 4, y + 4);
    ctx.lineTo(x, y + 11);
    ctx.fill();
    const room = next - x - 12;
    if (room < 14) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x + 6, y, room, MARKERS);
    ctx.clip();
    ctx.fillStyle = theme.text;
    ctx.fillText(marker.name, x + 7, y + 9);
    ctx.restore();
  });
}

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawRamp(ctx, { doc, view, theme, ramp }) {
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
function drawCursor(ctx, p) {
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

/** @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawHead(ctx, p) {
  const { view, theme, cursor, armed, focused, doc } = p;
  ctx.fillStyle = theme.head;
  ctx.fillRect(0, 0, view.head, view.height);
  ctx.fillStyle = theme.strong;
  ctx.fillRect(view.head - 1, 0, 1, view.lanesBottom);
  ctx.fillStyle = theme.dim;
  ctx.fillText(`${p.playhead ?? cursor.t}`, 8, RULER / 2);
  for (const row of view.rows) {
    if (focused && row.id === cursor.lane) {
      ctx.fillStyle = theme.select;
      ctx.fillRect(0, row.top, view.head - 1, row.height - 1);
    }
    const ink = theme.lane(row.id);
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

/** The dot that arms a lane for recording: filled with a ring around it when armed. @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {number} x @param {number} y @param {boolean} on */
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

/** The whole document in one line, with a frame around what is seen. @param {CanvasRenderingContext2D} ctx @param {Picture} p */
function drawMinimap(ctx, { doc, view, theme, cursor, playhead }) {
  const top = view.lanesBottom;
  const width = view.width - view.head;
  const x = (/** @type {number} */ t) => view.head + (t / doc.length) * width;
  ctx.fillStyle = theme.head;
  ctx.fillRect(0, top, view.width, MINIMAP);
  const tracks = activeTracks(doc);
  const height = (MINIMAP - 6) / view.rows.length;
  view.rows.forEach((row, i) => {
    ctx.fillStyle = theme.lane(row.id).fill;
    const y = top + 3 + i * height;
    if (row.kind === "key") for (const [a, n] of tracks[row.id]) ctx.fillRect(x(a), y, Math.max(1, (n / doc.length) * width), Math.max(1, height - 0.5));
    if (row.kind !== "axis") return;
    tracks[row.id].forEach((/** @type {Entry} */ entry, /** @type {number} */ j) => {
      const end = tracks[row.id][j + 1]?.[0] ?? doc.length;
      if (entry.length === 5 || entry[1] !== 0) ctx.fillRect(x(entry[0]), y, Math.max(1, x(end) - x(entry[0])), Math.max(1, height - 0.5));
    });
  });
  ctx.strokeStyle = theme.accent;
  ctx.lineWidth = 1;
  ctx.strokeRect(x(view.scroll) + 0.5, top + 1.5, Math.min(width, (view.span / doc.length) * width) - 1, MINIMAP - 3);
  ctx.fillStyle = theme.text;
  ctx.fillRect(x(playhead ?? cursor.t), top + 1, 1, MINIMAP - 2);
}

