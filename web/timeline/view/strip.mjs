// @ts-check
/** The strip of blocks over the lanes, as a cache knows them: what each state looks like, and how edits change it. */
import { firstDifference } from "../../model/compare.mjs";
import { MADE } from "./theme.mjs";
import { blockOfInput, blocksOfFrames, firstInputOfBlock } from "../../model/variants.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("./theme.mjs").Theme} Theme */
/** @typedef {"none"|"empty"|"stale"|"done"|"cached"|"resumable"|"pinned"|"making"|"failed"} BlockState */
/**
 * @typedef {object} StoredBlocks what the server said of a timeline
 * @property {Timeline} doc
 * @property {string} project
 * @property {{state: BlockState, key: string}[]} blocks
 * @property {number} [first] block of the world's life that the timeline begins with
 * @property {number | null} [seconds] that making one block takes, where it was measured
 * @property {string[]} [before] keys of the blocks that were stored when last heard of
 */

/** After the block's number: so that no state is told by its colour alone. @type {Record<BlockState, string>} */
const SIGNS = {
  none: "",
  empty: "",
  stale: " ~",
  done: "",
  cached: " ✓",
  resumable: " ✓›",
  pinned: " ✓●",
  making: " …",
  failed: " ×",
};

/**
 * States of `doc` from what is cached of a document close to it: the same up to the first difference, stale after it.
 * @param {StoredBlocks} cached @param {Timeline} doc @returns {BlockState[]}
 */
export function statesFor(cached, doc) {
  const count = blocksOfFrames(doc.length);
  const t = cached.doc === doc ? Infinity : firstDifference(doc, cached.doc);
  const dirty = t === Infinity ? Infinity : blockOfInput(t);
  return Array.from({ length: count }, (_, block) => {
    const state = cached.blocks[block]?.state ?? "empty";
    return block < dirty || state === "empty" ? state : "stale";
  });
}

/** What a run says of a block, as a state. @param {string} what @returns {BlockState} */
export function stateOf(what) {
  return what === "making" || what === "failed" ? what : "cached";
}

/**
 * One block of the strip.
 * @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {BlockState} state
 * @param {number} x @param {number} y @param {number} w @param {number} h
 */
export function drawBlock(ctx, theme, state, x, y, w, h) {
  const resumable = state === "resumable" || state === "pinned";
  const made = state === "done" || state === "cached" || resumable;
  ctx.fillStyle = made
    ? theme.lane(MADE).fill
    : state === "failed"
      ? theme.error
      : state === "making"
        ? theme.accent
        : theme.line;
  ctx.fillRect(x, y, Math.max(0.5, w), h);
  if (state === "stale") lines(ctx, theme.strong, x, y, w, h, 6);
  if (state === "making") lines(ctx, theme.bg, x, y, w, h, 3);
  if (resumable && w > 6) {
    ctx.fillStyle = theme.bg; // a notch at its end: a run can go on from here at once
    ctx.beginPath();
    ctx.moveTo(x + w, y);
    ctx.lineTo(x + w, y + h);
    ctx.lineTo(x + w - h / 2, y + h / 2);
    ctx.fill();
  }
  if (state === "pinned" && w > 12) {
    ctx.fillStyle = theme.text; // and a pin in the notch: it is kept
    ctx.beginPath();
    ctx.arc(x + w - 2, y + h / 2, 3.5, 0, 7);
    ctx.fill();
  }
}

/** The number of a block, and its state. @param {number} block @param {BlockState} state */
export function labelOf(block, state) {
  return `${block}${SIGNS[state]}`;
}

/** Frames and inputs of a block, for a tooltip. @param {number} block */
export function rangesOf(block) {
  const frames = [block ? 12 * block - 3 : 0, 12 * block + 8];
  return { frames, inputs: [firstInputOfBlock(block), firstInputOfBlock(block + 1) - 1] };
}

/**
 * Diagonal lines.
 * @param {CanvasRenderingContext2D} ctx @param {string} colour @param {number} x @param {number} y @param {number} w
 * @param {number} h @param {number} step
 */
function lines(ctx, colour, x, y, w, h, step) {
  if (w < 6) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let i = x - (x % step) - h; i < x + w; i += step) {
    ctx.moveTo(i, y + h);
    ctx.lineTo(i + h, y);
  }
  ctx.stroke();
  ctx.restore();
}
