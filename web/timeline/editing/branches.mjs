// @ts-check
/**
 * Branches: sets of inputs beside the main ones, all of one length, one of them in use. Pure functions from document to
 * document. The id of the main lanes is null.
 */
import { MAX_BRANCHES, activeSeeds, activeTracks, cleanName } from "../../model/document.mjs";
import { firstDifference } from "../../model/compare.mjs";
import { blockOfInput } from "../../model/variants.mjs";
import { parseScript } from "../../script/script.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {string | null} Id */
/**
 * @typedef {{row: import("../../model/variants.mjs").Frame, block: import("../../model/variants.mjs").Block}}
 *   Divergence the first input row that differs, and the first block that reads
 *   it
 */

/** @param {Timeline} doc @param {Id | undefined} id */
export const branchOf = (doc, id) => (id === null ? undefined : doc.branches.find((branch) => branch.id === id));

/** Whether there is such a branch; the main lanes are always there. @param {Timeline} doc @param {Id | undefined} id */
export const hasBranch = (doc, id) => id === null || branchOf(doc, id) !== undefined;

/** Whether there may be one more. @param {Timeline} doc */
export const canFork = (doc) => doc.branches.length < MAX_BRANCHES;

/**
 * A new branch with the inputs that are in use, from row `t` on open to change; it is in use afterwards.
 * @param {Timeline} doc @param {number} t @param {(n: number) => string} nameOf a name for the n-th branch
 * @returns {Timeline}
 */
export function fork(doc, t, nameOf) {
  const taken = new Set(doc.branches.flatMap((branch) => [branch.id, branch.name]));
  let n = doc.branches.length + 1;
  while (taken.has(`branch-${n}`) || taken.has(nameOf(n))) n++;
  const { tracks = {}, seeds } = branchOf(doc, doc.active) ?? {};
  const branch = { id: `branch-${n}`, name: nameOf(n), fork: t, tracks, ...(seeds ? { seeds } : {}) };
  const scripts = doc.source ? { ...scriptsOf(doc), [doc.active ?? ""]: doc.source.text } : scriptsOf(doc);
  return withScripts({ ...doc, branches: [...doc.branches, branch], active: branch.id }, scripts);
}

/**
 * Put another branch to use. Each one's script, where it has one, waits until it is in use again.
 * @param {Timeline} doc @param {Id} id @returns {Timeline}
 */
export function flipTo(doc, id) {
  if (id === doc.active) return doc;
  const { source, ...rest } = doc;
  const scripts = scriptsOf(doc);
  delete scripts[doc.active ?? ""];
  if (source) scripts[doc.active ?? ""] = source.text;
  const text = scripts[id ?? ""];
  delete scripts[id ?? ""];
  const next = withScripts({ ...rest, active: id }, scripts);
  return text !== undefined && isScriptOf(next, text) ? { ...next, source: { kind: "script", text } } : next;
}

/** @param {Timeline} doc @param {Id} id @param {string} name @returns {Timeline} */
export function renameBranch(doc, id, name) {
  const clean = cleanName(name);
  if (!clean) return doc;
  return { ...doc, branches: doc.branches.map((branch) => (branch.id === id ? { ...branch, name: clean } : branch)) };
}

/**
 * Take a branch away; where it is in use, `next` is afterwards.
 * @param {Timeline} doc @param {Id} id @param {Id} next @returns {Timeline}
 */
export function removeBranch(doc, id, next) {
  if (!branchOf(doc, id)) return doc;
  const left = doc.active === id ? flipTo(doc, next) : doc;
  const scripts = scriptsOf(left);
  delete scripts[id ?? ""];
  return withScripts({ ...left, branches: left.branches.filter((branch) => branch.id !== id) }, scripts);
}

/**
 * Where the inputs in use begin to differ from those of a branch; null where they never do.
 * @param {Timeline} doc @param {Id} id @returns {Divergence | null}
 */
export function divergence(doc, id) {
  const row = firstDifference(doc, { ...doc, active: id });
  return row === Infinity ? null : { row, block: blockOfInput(row) };
}

/**
 * Scripts of the branches that are not in use, by id; that of the main lanes has an empty one.
 * @param {Timeline} doc @returns {Record<string, string>}
 */
function scriptsOf(doc) {
  const kept = doc.scripts && typeof doc.scripts === "object" ? Object.entries(doc.scripts) : [];
  return Object.fromEntries(kept.filter(([, text]) => typeof text === "string"));
}

/** @param {Timeline} doc @param {Record<string, string>} scripts @returns {Timeline} */
function withScripts(doc, scripts) {
  const { scripts: _, ...rest } = doc;
  return Object.keys(scripts).length ? { ...rest, scripts } : rest;
}

/**
 * Whether a script that was put away still says what the lanes in use hold. One with a fault is the user's to mend.
 * @param {Timeline} doc @param {string} text
 */
function isScriptOf(doc, text) {
  try {
    const made = parseScript(text, doc.variant).document;
    const same =
      JSON.stringify([made.tracks, made.seeds ?? []]) === JSON.stringify([activeTracks(doc), activeSeeds(doc)]);
    return made.length === doc.length && same;
  } catch {
    return true;
  }
}
