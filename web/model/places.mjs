// @ts-check
/** Places in the timeline as people write them, and the ruler in the unit they think in. */
import { FPS, FRAMES_PER_BLOCK, blockOfInput, firstInputOfBlock, secondsOf } from "./variants.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */
/** @typedef {"frames"|"seconds"|"blocks"} Unit of the ruler */
/** @typedef {{t: number, label: string}} Tick */

export const UNITS = /** @type {Unit[]} */ (["frames", "seconds", "blocks"]);
const STEPS = {
  frames: [1, 2, 4, 12, 24, 48, 120, 240, 600, 1200, 3000, 12000],
  seconds: [5, 10, 25, 50, 125, 250, 750, 1500, 3000, 7500],
  blocks: [1, 2, 5, 10, 20, 50, 100, 500],
};
const ROOM = 52; // pixels of a label

/** A row in a unit. @param {number} t @param {Unit} unit */
export function placeText(t, unit) {
  if (unit === "seconds") return `${Number(secondsOf(t).toFixed(2))}s`;
  return unit === "blocks" ? `b${blockOfInput(t)}` : String(t);
}

/**
 * Where the ruler has its labels, and its small marks, from row `from` to `to`.
 * @param {Unit} unit @param {number} from @param {number} to @param {number} perFrame pixels
 * @returns {{major: Tick[], minor: number[]}}
 */
export function ticks(unit, from, to, perFrame) {
  const rows = unit === "blocks" ? FRAMES_PER_BLOCK : 1;
  const step = STEPS[unit].find((n) => n * rows * perFrame >= ROOM) ?? STEPS[unit][STEPS[unit].length - 1];
  if (unit === "blocks") {
    const first = blockOfInput(from);
    const all = Array.from({ length: blockOfInput(to) - first + 1 }, (_, i) => first + i);
    const at = all.map((block) => ({ t: firstInputOfBlock(block), label: `b${block}`, block }));
    return { major: at.filter(({ block }) => block % step === 0), minor: at.map(({ t }) => t) };
  }
  const small = unit === "seconds" ? step / 5 : step >= 12 ? step / 4 : 1;
  const every = (/** @type {number} */ n) => {
    const out = [];
    for (let t = from - (from % n); t <= to; t += n) out.push(t);
    return out;
  };
  const minor = small * perFrame >= 4 ? every(small) : [];
  return { major: every(step).map((t) => ({ t, label: placeText(t, unit) })), minor };
}

/**
 * Rows from a place to another: `36`, `1.5 s`, `b3` or `block 3`, and `1 s - 2 s` or `b3 - b5` for a stretch, whose
 * last block or frame is in it.
 * @param {string} text @param {Timeline} doc @returns {{a: number, b: number, range: boolean} | null}
 */
export function readPlace(text, doc) {
  const parts = text.split(/\s*(?:-|–|\.\.|→|->)\s*/);
  const [one, other] = parts.map((part) => readOne(part));
  if (!one || parts.length > 2 || (parts.length === 2 && !other)) return null;
  const last = other ?? one;
  const [a, b] = [Math.min(one.a, last.a), Math.max(one.b, last.b)];
  return a < doc.length ? { a, b: Math.min(b, doc.length), range: parts.length === 2 } : null;
}

/** @param {string} text @returns {{a: number, b: number} | null} the rows of one place */
function readOne(text) {
  const block = /^\s*(?:b|block\s*|第\s*)(\d+)(?:\s*块)?\s*$/i.exec(text);
  if (block) return { a: firstInputOfBlock(Number(block[1])), b: firstInputOfBlock(Number(block[1]) + 1) };
  const place = /^\s*(\d+(?:[.,]\d+)?)\s*(s|f|秒|帧)?\s*$/i.exec(text);
  if (!place) return null;
  const value = Number(place[1].replace(",", "."));
  const seconds = place[2] && /s|秒/i.test(place[2]);
  if (!seconds) return Number.isInteger(value) ? { a: value, b: value + 1 } : null;
  return { a: Math.round(value * FPS), b: Math.round(value * FPS) };
}
