// @ts-check
/** What a timeline may do and that may disappoint: shown under the lanes, never in the way of a run. */
import { FRAMES_PER_BLOCK, VARIANTS, cameraAxes } from "./variants.mjs";
import { activeTracks } from "./document.mjs";
import { cutRuns } from "./tracks.mjs";

/** @typedef {{code: "opposite"|"fast-camera"|"sustained-up", lane: string, t: number, length: number}} Warning */

const SUSTAINED_UP = 2 * FRAMES_PER_BLOCK;

/** @param {import("./document.mjs").Timeline} doc @returns {Warning[]} in the order of time */
export function warningsOf(doc) {
  const tracks = activeTracks(doc);
  const variant = VARIANTS[doc.variant];
  /** @type {Warning[]} */
  const out = [];
  for (const { name, opposite: other } of variant.controls) {
    if (!other) continue;
    for (const [start, length] of tracks[name] ?? []) {
      for (const [t, n] of cutRuns(tracks[other] ?? [], start, start + length))
        out.push({ code: "opposite", lane: other, t, length: n });
    }
  }
  const beyond = (/** @type {number} */ v0, /** @type {number} */ v1) =>
    Math.max(Math.abs(v0), Math.abs(v1)) > variant.camera.tested;
  for (const axis of cameraAxes(variant)) {
    const fast = stretches(tracks[axis], doc.length, (v0, v1) => beyond(v0, v1));
    for (const [t, length] of fast) out.push({ code: "fast-camera", lane: axis, t, length });
    const up = axis === "pitch" ? stretches(tracks[axis], doc.length, (v0, v1) => Math.max(v0, v1) > 0) : [];
    for (const [t, length] of up) if (length >= SUSTAINED_UP) out.push({ code: "sustained-up", lane: axis, t, length });
  }
  return out.sort((a, b) => a.t - b.t);
}

/**
 * Stretches of entries for which `test` holds, joined.
 * @param {import("./tracks.mjs").Entry[]} entries @param {number} length
 * @param {(from: number, to: number) => boolean} test
 * @returns {[number, number][]} [start, length]
 */
function stretches(entries, length, test) {
  /** @type {[number, number][]} */
  const out = [];
  const add = (/** @type {number} */ a, /** @type {number} */ b) => {
    const last = out[out.length - 1];
    if (b <= a) return;
    if (last && last[0] + last[1] === a) last[1] += b - a;
    else out.push([a, b - a]);
  };
  entries.forEach((entry, i) => {
    const next = Math.min(length, entries[i + 1]?.[0] ?? length);
    if (entry.length === 2) {
      if (test(entry[1], entry[1])) add(entry[0], next);
      return;
    }
    const end = Math.min(next, entry[0] + entry[3]);
    if (test(entry[1], entry[4])) add(entry[0], end);
    if (test(entry[4], entry[4])) add(end, next);
  });
  return out;
}
