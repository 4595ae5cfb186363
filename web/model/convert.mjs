// @ts-check
/** A document for another variant. */
import { VARIANTS, cameraAxes, heldKeys } from "./variants.mjs";
import { canonicalTracks } from "./document.mjs";
import { withoutSource } from "./edit.mjs";
import { paintRuns } from "./tracks.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */
/** @typedef {import("./document.mjs").Tracks} Tracks */

/**
 * The lane of another variant that takes a lane's place: the one of its name, or the key that means the same.
 * @param {string} lane @param {string} from @param {string} to @returns {string | undefined}
 */
function placeOf(lane, from, to) {
  const spec = VARIANTS[to];
  if ([...heldKeys(spec), ...cameraAxes(spec)].includes(lane)) return lane;
  const means = VARIANTS[from].controls.find((key) => key.name === lane)?.means;
  return means && spec.controls.find((key) => key.means === means)?.name;
}

/**
 * @param {Tracks} tracks @param {string} from @param {string} to
 * @returns {{tracks: Tracks, lost: {lane: string, count: number}[]}}
 */
function mapTracks(tracks, from, to) {
  const spec = VARIANTS[to];
  /** @type {Tracks} */
  const kept = {};
  /** @type {{lane: string, count: number}[]} */
  const lost = [];
  for (const [lane, content] of Object.entries(tracks)) {
    const name = placeOf(lane, from, to);
    if (!name) {
      if (content.length) lost.push({ lane, count: content.length });
      continue;
    }
    const others = spec.exclusive ? Object.keys(kept) : [];
    for (const [start, length] of content)
      for (const other of others) kept[other] = paintRuns(kept[other], start, start + length, false);
    kept[name] = content;
  }
  return { tracks: kept, lost };
}

/**
 * The document for another variant, and what it cannot keep.
 * @param {Timeline} doc @param {string} variant @returns {{doc: Timeline, lost: {lane: string, count: number}[]}}
 */
export function convertVariant(doc, variant) {
  const map = (/** @type {Tracks} */ tracks) => mapTracks(tracks, doc.variant, variant);
  const main = map(doc.tracks);
  // whole branches, because lanes that got on with the main ones may not do so under their new names
  const branches = doc.branches.map((b) => ({ ...b, tracks: map({ ...doc.tracks, ...b.tracks }).tracks }));
  const next = { ...withoutSource(doc), variant, branches, tracks: canonicalTracks(variant, main.tracks) };
  /** @type {Map<string, number>} */
  const lost = new Map();
  for (const { lane, count } of [main.lost, ...doc.branches.map((b) => map(b.tracks).lost)].flat())
    lost.set(lane, (lost.get(lane) ?? 0) + count);
  return { doc: next, lost: Array.from(lost, ([lane, count]) => ({ lane, count })) };
}
