// @ts-check
/** A take as the model will read it: what is held changes only where a block begins to read. */
import { blockOfInput, firstInputOfBlock } from "../../model/variants.mjs";
import { canonicalCurve, cutRuns, holdsOf, joinRuns, sampleCurve } from "../../model/tracks.mjs";

/** @typedef {import("../../model/document.mjs").Tracks} Tracks */

const LEAST = 1 / 3; // of a block's rows that a key is held in, for it to be held in all of them

/**
 * Of a take of `rows` rows that begins at row `from` of the timeline, each key held in whole blocks or not at all, and
 * the camera at its mean in each. Where one key is held at a time, it is the one that was held longest.
 * @param {Tracks} tracks @param {number} from @param {number} rows @param {boolean} exclusive @returns {Tracks}
 */
export function quantised(tracks, from, rows, exclusive) {
  const parts = partsOf(from, rows);
  const keys = Object.keys(tracks).filter((lane) => !isCamera(lane));
  const held = (/** @type {string} */ lane, /** @type {[number, number]} */ [a, b]) =>
    cutRuns(/** @type {[number, number][]} */ (tracks[lane]), a, b).reduce((sum, [, n]) => sum + n, 0);
  const longest = parts.map((part) => Math.max(0, ...keys.map((lane) => held(lane, part))));
  const first = parts.map((part, i) => keys.find((lane) => held(lane, part) === longest[i]));
  const isOn = (/** @type {string} */ lane, /** @type {number} */ i) =>
    held(lane, parts[i]) >= LEAST * (parts[i][1] - parts[i][0]) && (!exclusive || first[i] === lane);
  return Object.fromEntries(
    Object.entries(tracks).map(([lane, track]) => {
      if (!isCamera(lane)) return [lane, joinRuns(parts.filter((_, i) => isOn(lane, i)).map(([a, b]) => [a, b - a]))];
      const values = parts.flatMap(([a, b]) => {
        const mean = sampleCurve(/** @type {any} */ (track), a, b).reduce((sum, value) => sum + value, 0) / (b - a);
        return new Array(b - a).fill(Math.round(mean * 100) / 100 + 0);
      });
      return [lane, canonicalCurve(holdsOf(values, 0))];
    }),
  );
}

/**
 * The parts of a take that lie in one block each.
 * @param {number} from @param {number} rows @returns {[number, number][]}
 */
function partsOf(from, rows) {
  /** @type {[number, number][]} */
  const parts = [];
  for (let t = 0; t < rows;) {
    const end = Math.min(rows, firstInputOfBlock(blockOfInput(from + t) + 1) - from);
    parts.push([t, end]);
    t = end;
  }
  return parts;
}

/** @param {string} lane */
const isCamera = (lane) => lane === "yaw" || lane === "pitch";
