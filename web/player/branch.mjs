// @ts-check
/** A take as a branch of a timeline: what was there stays, and the take is in use. */
import { MAX_BRANCHES, readDocument, writeDocument } from "../timeline/document.mjs";

/**
 * The timeline `text` with a take in it; what the player left by going back comes before it. Throws where `text` is no
 * timeline, or one of another variant.
 * @param {string} text @param {any} take a document @returns {string}
 */
export function withTake(text, take) {
  const doc = readDocument(text);
  const played = readDocument(JSON.stringify(take));
  if (doc.variant !== played.variant) throw new Error(`The take is for ${played.variant}, the timeline for ${doc.variant}.`);
  const ids = new Set(doc.branches.map((branch) => branch.id));
  const added = [...played.branches, { name: "take", fork: 0, tracks: played.tracks }].map((branch) => {
    let number = 1;
    while (ids.has(`take-${number}`)) number += 1;
    ids.add(`take-${number}`);
    return { id: `take-${number}`, name: `take ${number}`, fork: branch.fork, tracks: { ...played.tracks, ...branch.tracks } };
  });
  const branches = [...doc.branches, ...added].slice(-MAX_BRANCHES);
  return writeDocument({ ...doc, length: Math.max(doc.length, played.length), branches, active: added[added.length - 1].id });
}
