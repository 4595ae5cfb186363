// @ts-check
/** The words of the script language; a port of vocabulary.py, checked by the shared fixture. */
import { heldKeys } from "../model/variants.mjs";

/** @typedef {import("../model/variants.mjs").Variant} Variant */

/** @type {Record<string, [string, number]>} */
export const CAMERA = { up: ["pitch", 1], down: ["pitch", -1], left: ["yaw", -1], right: ["yaw", 1] };
export const AXES = ["yaw", "pitch"];
export const EASINGS = ["linear", "smooth", "in", "out"];
/** Frames in one unit. @type {Record<string, number>} */
export const UNITS = { f: 1, l: 4, b: 12, s: 25, ms: 0.025 };
export const ROUNDED_UNITS = ["s", "ms"];
/** Every word that names a key of `variant` -> the key. @param {Variant} variant @returns {Map<string, string>} */
export function keyWords(variant) {
  const own = variant.keys.map((key) => /** @type {[string, string]} */ ([key, key]));
  const aliases = variant.controls.flatMap(({ name, aliases: words = [] }) =>
    words.map((word) => /** @type {[string, string]} */ ([word, name])),
  );
  return new Map([...own, ...aliases, ["idle", "idle"]]);
}

/** The actions of `variant` in one line, for a hint. @param {Variant} variant */
export function actionList(variant) {
  const words = heldKeys(variant);
  if (variant.mouse) {
    if (variant.pitch) words.push("up", "down");
    words.push("left", "right", "yaw()");
    if (variant.pitch) words.push("pitch()", "look()");
  }
  return [...words, "idle"].join(" ");
}

/**
 * The candidate that `word` most likely means, or null; the first of equally near ones.
 * @param {string} word @param {Iterable<string>} candidates
 */
export function suggestion(word, candidates) {
  let best = null;
  let least = (word.length <= 3 ? 1 : 2) + 1;
  if (word.length <= 1) return null;
  for (const candidate of candidates) {
    const distance = abbreviates(word, candidate) ? 1 : edits(word, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/**
 * Whether `word` is `candidate` with letters left out, the first letter kept.
 * @param {string} word @param {string} candidate
 */
function abbreviates(word, candidate) {
  if (word.length < 2 || word[0] !== candidate[0]) return false;
  let at = 0;
  for (const letter of word) {
    at = candidate.indexOf(letter, at) + 1;
    if (!at) return false;
  }
  return true;
}

/** Levenshtein distance; words longer than 40 letters are not compared. @param {string} a @param {string} b */
function edits(a, b) {
  if (a.length > 40 || b.length > 40) return 99;
  const row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    let before = row[0];
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const next = Math.min(row[j] + 1, row[j - 1] + 1, before + Number(a[i - 1] !== b[j - 1]));
      before = row[j];
      row[j] = next;
    }
  }
  return row[b.length];
}
