// @ts-check
/** Which picture belongs to a row: the block and the frame that are on screen while the row is held. Pure functions. */
import { FRAMES_PER_BLOCK, firstInputOfBlock } from "../../model/variants.mjs";
import { statesFor } from "../view/strip.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../view/strip.mjs").StoredBlocks} StoredBlocks */
/** @typedef {import("../view/strip.mjs").BlockState} BlockState */
/**
 * @typedef {object} Shown a frame that is to be seen
 * @property {import("../../model/variants.mjs").Block} block of the timeline
 * @property {number} index of the frame in its block
 * @property {string} key of the block that has it; empty where there is no picture
 * @property {boolean} old it is a picture of before an edit
 * @property {BlockState} state of the block
 */

const STORED = new Set(["cached", "resumable", "pinned"]);

/** Whether a block in this state has pictures in the store. @param {BlockState} state */
export const hasPictures = (state) => STORED.has(state);

/**
 * The frame that is on screen while row `t` is held. Of a world that goes on from block `first` of its life, row 0 is
 * held while the last frame of the block before is on screen: the first one here stands for it.
 * @param {number} t @param {number} [first] @returns {{block: number, index: number}}
 */
export function frameAt(t, first = 0) {
  const frame = firstInputOfBlock(first) + t;
  const block = Math.floor((frame + 3) / FRAMES_PER_BLOCK);
  if (block < first) return { block: 0, index: 0 };
  return { block: block - first, index: frame - (block ? FRAMES_PER_BLOCK * block - 3 : 0) };
}

/**
 * The picture of row `t` of `doc`, from what is stored of it or of a timeline close to it.
 * @param {StoredBlocks} stored @param {Timeline} doc @param {number} t @returns {Shown}
 */
export function shownAt(stored, doc, t) {
  return shownIn(stored, doc, frameAt(t, stored.first ?? 0));
}

/**
 * A frame of a block.
 * @param {StoredBlocks} stored @param {Timeline} doc @param {{block: number, index: number}} frame @returns {Shown}
 */
export function shownIn(stored, doc, { block, index }) {
  const state = statesOf(stored, doc)[block] ?? "empty";
  const now = stored.blocks[block];
  if (now && hasPictures(state)) return { block, index, key: now.key, old: false, state };
  // after an edit: what was there before it, from this answer or from an earlier one
  const before = now && hasPictures(now.state) ? now.key : (stored.before?.[block] ?? "");
  return { block, index, key: state === "empty" ? "" : before, old: true, state };
}

/**
 * States that were worked out last, for each answer.
 * @type {WeakMap<StoredBlocks, {doc: Timeline, states: BlockState[]}>}
 */
const STATES = new WeakMap();

/** @param {StoredBlocks} stored @param {Timeline} doc */
function statesOf(stored, doc) {
  const found = STATES.get(stored);
  if (found?.doc === doc) return found.states;
  const states = statesFor(stored, doc);
  STATES.set(stored, { doc, states });
  return states;
}

/**
 * Keys of the blocks that were stored when last heard of, for after an edit. What is said of another branch is no past
 * of this one, but where this one was forked since.
 * @param {StoredBlocks | null} previous @param {StoredBlocks} now @returns {string[]}
 */
export function keysBefore(previous, now) {
  const { active } = now.doc;
  const forked = previous !== null && active !== null && !previous.doc.branches.some(({ id }) => id === active);
  const past = forked || previous?.doc.active === active ? previous : null;
  return now.blocks.map(({ state, key }, block) => {
    if (hasPictures(state)) return key;
    const was = past?.blocks[block];
    return was && hasPictures(was.state) ? was.key : (past?.before?.[block] ?? "");
  });
}

/**
 * The blocks whose frames are wanted while `playhead` runs: the one at it and the next, from the loop's start again
 * where the loop ends between them.
 * @param {Timeline} doc @param {number} playhead @param {number} [first] @returns {number[]}
 */
export function blocksAhead(doc, playhead, first = 0) {
  const [from, to] = doc.loop ?? [0, doc.length];
  const ahead = playhead + FRAMES_PER_BLOCK;
  const next = ahead < to ? ahead : doc.loop ? from : playhead;
  return [...new Set([frameAt(playhead, first).block, frameAt(next, first).block])];
}

/**
 * The block whose picture stands for a branch: the last one that is stored; -1 where there is none.
 * @param {StoredBlocks} stored
 */
export function lastStored(stored) {
  return stored.blocks.findLastIndex(({ state }) => hasPictures(state));
}
