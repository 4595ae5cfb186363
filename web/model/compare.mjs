// @ts-check
/** Which blocks an edit touches: the first input row at which two timelines differ, and the blocks from there on. */
import { blockOfInput, blocksOfFrames } from "./variants.mjs";
import { activeSeeds, activeTracks } from "./document.mjs";
import { valueAt } from "./tracks.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */

/**
 * @param {any[]} a @param {any[]} b
 * @returns {number} a row before which two lanes are equal, Infinity if they are equal
 */
function firstUnequal(a, b) {
  const n = Math.max(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (!a[i] || !b[i]) return (a[i] ?? b[i])[0];
    if (a[i][0] !== b[i][0]) return Math.min(a[i][0], b[i][0]);
    if (a[i].length === b[i].length && a[i].every((/** @type {any} */ v, /** @type {number} */ j) => v === b[i][j]))
      continue;
    return a[i][0];
  }
  return Infinity;
}

/**
 * The first row at which the inputs or the seeds of two timelines differ, Infinity if never.
 * @param {Timeline} one @param {Timeline} other
 */
export function firstDifference(one, other) {
  if (one.variant !== other.variant) return 0;
  const end = Math.min(one.length, other.length);
  const mine = activeTracks(one);
  const theirs = activeTracks(other);
  let first = firstUnequal(activeSeeds(one), activeSeeds(other));
  for (const lane of Object.keys(mine)) {
    const a = mine[lane];
    const b = theirs[lane] ?? [];
    if (a === b) continue;
    let t = firstUnequal(a, b);
    const held = (/** @type {any[]} */ runs) => runs.some(([start, length]) => t >= start && t < start + length);
    const same = lane === "yaw" || lane === "pitch" ? () => valueAt(a, t) === valueAt(b, t) : () => held(a) === held(b);
    while (t < Math.min(end, first) && same()) t++;
    first = Math.min(first, t);
  }
  return first < end ? first : Infinity;
}

/**
 * Per block of `doc`, how it stands to the timeline that was rendered last.
 * @param {Timeline} doc @param {Timeline | null} rendered @returns {("none"|"stale"|"done")[]}
 */
export function blockStates(doc, rendered) {
  const blocks = blocksOfFrames(doc.length);
  if (!rendered) return Array.from({ length: blocks }, () => "none");
  const t = firstDifference(doc, rendered);
  const dirty = t === Infinity ? Infinity : blockOfInput(t);
  const had = blocksOfFrames(rendered.length);
  return Array.from({ length: blocks }, (_, block) => (block < dirty && block < had ? "done" : "stale"));
}
