// @ts-check
/** Taking it again: other noise from a block on, as a branch; its words, and what is typed as a seed. */
import { FRAMES_PER_BLOCK, blockOfInput, blocksOfFrames } from "../../model/variants.mjs";
import { activeSeeds, withSeeds } from "../../model/document.mjs";
import { canFork, fork } from "./branches.mjs";
import { setSeed } from "../../model/edit_signs.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../../model/variants.mjs").Block} Block */

const RANDOM = 1_000_000; // seeds that are drawn are below: they can be read out and typed

/** The block that row `t` is in. @param {Timeline} doc @param {number} t @returns {Block} */
export const blockAt = (doc, t) => Math.min(blocksOfFrames(doc.length) - 1, blockOfInput(t));

/**
 * A branch with the same inputs and another seed for a block and all that follow; it is in use afterwards.
 * @param {Timeline} doc @param {Block} block @param {number} seed @param {string} name @returns {Timeline}
 */
export function reroll(doc, block, seed, name) {
  const taken = doc.branches.some((branch) => branch.name === name);
  const next = fork(doc, FRAMES_PER_BLOCK * block, (n) => (taken ? `${name} (${n})` : name));
  const before = activeSeeds(doc).filter(([t]) => blockOfInput(t) < block);
  return setSeed(withSeeds(next, before), block, seed);
}

/** A seed that no block has yet. @param {Timeline} doc */
function drawn(doc) {
  const used = new Set(activeSeeds(doc).map(([, seed]) => seed));
  let seed = 0;
  do seed = 1 + Math.floor(Math.random() * (RANDOM - 1));
  while (used.has(seed));
  return seed;
}

/** Take it again from the block of the playhead on, as a branch. @param {import("./editor.mjs").Editor} editor */
export function rerollHere(editor) {
  if (!editor.editable) return;
  if (!canFork(editor.doc)) {
    editor.say("say.branchfull", { most: editor.doc.branches.length });
    return;
  }
  editor.settle();
  const { doc } = editor;
  const block = blockAt(doc, editor.playhead ?? editor.cursor.t);
  const seed = drawn(doc);
  editor.apply((now) => reroll(now, block, seed, editor.words("seed.branch", { block, seed })));
  editor.left = doc.active;
  editor.emit("view");
  editor.say("say.rerolled", { block, seed, from: editor.branchName(doc.active) });
}

/**
 * What is written as a seed: null for nothing, undefined where it is none.
 * @param {string} text @returns {number | null | undefined}
 */
export function readSeed(text) {
  if (!text.trim()) return null;
  const seed = /^\s*\d{1,16}\s*$/.test(text) ? Number(text) : Infinity;
  return seed <= Number.MAX_SAFE_INTEGER ? seed : undefined;
}

/** @type {Record<string, string>} */
export const EN = {
  "menu.reroll": "Take it again from this block on",
  "menu.seed": "Seed from this block on…",
  "seed.branch": "block {block}, seed {seed}",
  "seed.title": "Seed from block {block} on; empty: as before it",
  "seed.bad": "A seed is a whole number from 0 to {most}",
  "say.rerolled": "Blocks {block} and on again, with seed {seed}, as a branch of {from}; Run makes them",
  "say.seed": "Seed {seed} from block {block} on",
  "say.noseed": "No other seed from block {block} on",
};

/** @type {Record<string, string>} */
export const ZH = {
  "menu.reroll": "从此块起重新生成",
  "menu.seed": "此块起的种子…",
  "seed.branch": "块 {block}，种子 {seed}",
  "seed.title": "自第 {block} 块起的种子；留空：与之前相同",
  "seed.bad": "种子是 0 到 {most} 的整数",
  "say.rerolled": "第 {block} 块及之后以种子 {seed} 重来，作为 {from} 的分支；运行即生成",
  "say.seed": "自第 {block} 块起种子为 {seed}",
  "say.noseed": "自第 {block} 块起不再换种子",
};
