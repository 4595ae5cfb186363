// @ts-check
/** Changes of markers, pins, seeds and the loop, as pure functions from document to document. */
import { FRAMES_PER_BLOCK, blockOfInput } from "./variants.mjs";
import { MAX_SEEDS, activeSeeds, cleanName, withSeeds } from "./document.mjs";
import { inside, withoutSource } from "./edit.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */
/** @typedef {import("./document.mjs").SeedChange} SeedChange */
/** @typedef {import("./variants.mjs").Block} Block */

/**
 * Name a row; an empty name takes the marker away.
 * @param {Timeline} doc @param {number} t @param {string} name @returns {Timeline}
 */
export function setMarker(doc, t, name) {
  const old = doc.markers.find((m) => m.t === t);
  const markers = doc.markers.filter((m) => m.t !== t);
  const clean = cleanName(name);
  if (clean) markers.push({ ...old, t, name: clean });
  markers.sort((a, b) => a.t - b.t);
  return { ...withoutSource(doc), markers };
}

/**
 * Keep the state of the world before row t, or no longer; a row without a marker gets one.
 * @param {Timeline} doc @param {number} t @param {string} name of a new marker @returns {Timeline}
 */
export function togglePin(doc, t, name) {
  const marked = doc.markers.some((m) => m.t === t) ? doc : setMarker(doc, t, name);
  const markers = marked.markers.map((m) => {
    if (m.t !== t) return m;
    const { pin, ...rest } = m;
    return pin ? rest : { ...rest, pin: true };
  });
  return { ...withoutSource(marked), markers };
}

/** @param {Timeline} doc @param {number} from @param {number} to @returns {Timeline} */
export function moveMarker(doc, from, to) {
  const at = Math.max(0, Math.min(doc.length, to));
  const markers = doc.markers
    .filter((m) => m.t === from || m.t !== at)
    .map((m) => (m.t === from ? { ...m, t: at } : m));
  return { ...withoutSource(doc), markers: markers.sort((a, b) => a.t - b.t) };
}

/** @param {Timeline} doc @param {[number, number] | null} loop @returns {Timeline} */
export function setLoop(doc, loop) {
  if (!loop) return { ...doc, loop: null };
  const [a, b] = inside(doc, loop[0], loop[1]);
  return { ...doc, loop: a < b ? [a, b] : null };
}

/** Changes of the seed by block; of several in one, the last, which counts. @param {Timeline} doc */
export const seedsByBlock = (doc) =>
  new Map(activeSeeds(doc).map(([t, seed]) => /** @type {[Block, number]} */ ([blockOfInput(t), seed])));

/**
 * Another seed from a block on, until the next change; null takes the change of that block away. It is kept at the row
 * that every world reads in that block, whether it begins with the timeline or goes on with it.
 * @param {Timeline} doc @param {Block} block @param {number | null} seed @returns {Timeline}
 */
export function setSeed(doc, block, seed) {
  const others = activeSeeds(doc).filter(([t]) => blockOfInput(t) !== block);
  /** @type {SeedChange[]} */
  const seeds = seed === null ? others : [...others, [FRAMES_PER_BLOCK * block, seed]];
  return withSeeds(withoutSource(doc), seeds.sort(([a], [b]) => a - b).slice(0, MAX_SEEDS));
}

/**
 * The seeds of a piece of `rows` rows that is put over rows at..to, as often as it fits, in the place of those that
 * were there. What follows keeps the seed that it had; where that was the world's own, the piece's last one goes on.
 * @param {Timeline} doc @param {SeedChange[]} seeds by row of the piece @param {number} rows @param {number} at
 * @param {number} to @returns {Timeline}
 */
export function putSeeds(doc, seeds, rows, at, to) {
  if (!seeds.length) return doc;
  const end = blockFrom(to);
  const before = [...seedsByBlock(doc)].sort(([a], [b]) => a - b);
  const kept = before.filter(([block]) => block < blockFrom(at) || block >= end);
  /** @type {Map<number, number>} */
  const after = new Map(kept);
  for (let start = at; start < to; start += rows)
    for (const [row, seed] of seeds) if (start + row < to) after.set(blockOfInput(start + row), seed);
  const held = before.findLast(([block]) => block <= end)?.[1];
  if (held !== undefined && !after.has(end) && FRAMES_PER_BLOCK * end < doc.length) after.set(end, held);
  const changes = [...after].sort(([a], [b]) => a - b);
  const rowsOf = changes.map(([block, seed]) => /** @type {SeedChange} */ ([FRAMES_PER_BLOCK * block, seed]));
  return withSeeds(withoutSource(doc), rowsOf.slice(0, MAX_SEEDS));
}

/** The first block whose change of the seed stands at row t or behind it. @param {number} t */
const blockFrom = (t) => Math.ceil(t / FRAMES_PER_BLOCK);
