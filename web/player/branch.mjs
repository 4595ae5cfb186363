// @ts-check
/** A take as a branch of a timeline: what was there stays, and the take is in use. */
import { MAX_BRANCHES, readDocument } from "../model/document.mjs";
import { canonicalCurve, cutCurve } from "../model/tracks.mjs";
import { VARIANTS, cameraAxes } from "../model/variants.mjs";

/** @typedef {import("../model/document.mjs").Timeline} Timeline */

/**
 * The timeline `doc` with a take in it; what the player left by going back comes before it. Throws where they are not
 * for one variant.
 * @param {Timeline} doc @param {any} take a document
 * @param {boolean} [fresh] nobody made anything in `doc`: its length becomes the take's
 * @returns {Timeline}
 */
export function withTake(doc, take, fresh = false) {
  const played = readDocument(JSON.stringify(take));
  if (doc.variant !== played.variant)
    throw new Error(`The take is for ${played.variant}, the timeline for ${doc.variant}.`);
  const ids = new Set(doc.branches.map((branch) => branch.id));
  const added = [...played.branches, { name: "take", fork: 0, tracks: played.tracks }].map((branch) => {
    let number = 1;
    while (ids.has(`take-${number}`)) number += 1;
    ids.add(`take-${number}`);
    return {
      id: `take-${number}`,
      name: `take ${number}`,
      fork: branch.fork,
      tracks: { ...played.tracks, ...branch.tracks },
      ...(doc.seeds ? { seeds: [] } : {}), // it was played with the seed of its world
    };
  });
  const last = added[added.length - 1];
  const length = fresh ? played.length : Math.max(doc.length, played.length);
  if (length > played.length)
    for (const { tracks } of added)
      for (const axis of cameraAxes(VARIANTS[doc.variant])) tracks[axis] = stopped(tracks[axis], played.length);
  const branches = [...doc.branches, ...added].slice(-MAX_BRANCHES);
  const kept = fresh ? { ...doc, tracks: played.tracks, markers: [], loop: null } : doc;
  const end = length > played.length ? [{ t: played.length, name: `end of ${last.name}` }] : [];
  return {
    ...withoutSource(kept),
    length,
    markers: marked(kept.markers, [...played.markers, ...end]),
    branches,
    active: last.id,
  };
}

/**
 * A camera lane that is still from row `end` on, where nothing was played any more.
 * @param {any[]} entries @param {number} end
 */
const stopped = (entries, end) => canonicalCurve([...cutCurve(entries, 0, end), [end, 0]]);

/** @param {Timeline} doc @returns {Timeline} */
function withoutSource({ source: _, ...rest }) {
  return rest;
}

/**
 * Markers with others among them; where both have one, the one that was there stays.
 * @param {Timeline["markers"]} markers @param {Timeline["markers"]} more
 */
function marked(markers, more) {
  const taken = new Set(markers.map((mark) => mark.t));
  return [...markers, ...more.filter((mark) => !taken.has(mark.t))].sort((a, b) => a.t - b.t);
}
