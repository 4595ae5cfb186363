// @ts-check
/**
 * What differs between the game variants, as the editor needs it. The Python side (variants/) is the source of
 * truth; a test compares the two.
 */

/**
 * Frames, blocks, seconds and pixels are all numbers; these types keep them apart: TypeScript refuses one where another
 * is meant, and takes a plain number, as arithmetic makes it, for any.
 * @typedef {number & {readonly unit?: "frame"}} Frame a row of the timeline, or a number of rows
 */
/** @typedef {number & {readonly unit?: "block"}} Block a block of the rollout, or a number of blocks */
/** @typedef {number & {readonly unit?: "second"}} Seconds */
/** @typedef {number & {readonly unit?: "pixel"}} Pixel of the canvas, as CSS counts them */

export const FPS = 25;
export const FRAMES_PER_LATENT = 4;
export const FRAMES_PER_BLOCK = 12;
export const CAMERA_UNIT_DEGREES = 15;
export const CAMERA_DEFAULT = 0.1;
export const CAMERA_WARN = 0.3;
export const CAMERA_LIMIT = 1;
/** One hour at 25 frames a second: the longest document. */
export const MAX_FRAMES = 90009;

/**
 * @typedef {object} Variant
 * @property {string} name
 * @property {string} title
 * @property {string[]} keys keyboard columns in the order of the weights
 * @property {boolean} exclusive one key per row, `idle` among them
 * @property {boolean} mouse has a camera input
 * @property {boolean} pitch pitch was used in training
 */

/** @type {Record<string, Variant>} */
export const VARIANTS = {
  universal: {
    name: "universal",
    title: "Universal",
    keys: ["w", "s", "a", "d"],
    exclusive: false,
    mouse: true,
    pitch: true,
  },
  gta_drive: { name: "gta_drive", title: "GTA drive", keys: ["w", "s"], exclusive: false, mouse: true, pitch: false },
  templerun: {
    name: "templerun",
    title: "Temple Run",
    keys: ["idle", "jump", "slide", "turn_left", "turn_right", "side_left", "side_right"],
    exclusive: true,
    mouse: false,
    pitch: false,
  },
};

export const AXES = ["yaw", "pitch"];

/**
 * @typedef {object} Lane
 * @property {string} id name of the track in the document; `idle` is derived and never stored
 * @property {"key"|"idle"|"axis"} kind
 */

/**
 * The lanes the editor shows for a variant, top to bottom.
 * @param {Variant} variant
 * @returns {Lane[]}
 */
export function lanesOf(variant) {
  /** @type {Lane[]} */
  const lanes = variant.keys.map((id) => ({ id, kind: id === "idle" ? "idle" : "key" }));
  if (variant.mouse) lanes.push({ id: "yaw", kind: "axis" });
  if (variant.mouse && variant.pitch) lanes.push({ id: "pitch", kind: "axis" });
  return lanes;
}

/** The keys that can be held: all but `idle`. @param {Variant} variant */
export function heldKeys(variant) {
  return variant.keys.filter((key) => key !== "idle");
}

/** The camera lanes that `variant` has. @param {Variant} variant */
export function cameraAxes(variant) {
  return AXES.slice(0, Number(variant.mouse) + Number(variant.mouse && variant.pitch));
}

/** Pixel frames of the first `blocks` blocks: 9, then 12 more for each. @param {Block} blocks @returns {Frame} */
export function framesOfBlocks(blocks) {
  return blocks > 0 ? FRAMES_PER_BLOCK * blocks - 3 : 0;
}

/** Blocks that a timeline of `length` rows makes. @param {Frame} length @returns {Block} */
export function blocksOfFrames(length) {
  return Math.max(1, Math.ceil((length + 3) / FRAMES_PER_BLOCK));
}

/**
 * The first input row that block `block` is the first to read: 0, 8, 20, 32, ...
 * @param {Block} block @returns {Frame}
 */
export function firstInputOfBlock(block) {
  return Math.max(0, FRAMES_PER_BLOCK * block - FRAMES_PER_LATENT);
}

/** The first block that input row `t` can change. @param {Frame} t @returns {Block} */
export function blockOfInput(t) {
  return t <= 0 ? 0 : Math.floor((Math.floor(t / FRAMES_PER_LATENT) + 1) / 3);
}

/** The shortest legal length of at least `rows` rows: 9, 21, 33, ... @param {Frame} rows @returns {Frame} */
export function legalLength(rows) {
  return framesOfBlocks(blocksOfFrames(Math.max(1, rows)));
}

/** How long so many frames are shown. @param {Frame} frames @returns {Seconds} */
export function secondsOf(frames) {
  return frames / FPS;
}
