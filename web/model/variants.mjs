// @ts-check
/**
 * What differs between the game variants, as the browser needs it. Descriptions come from Python: those of the package
 * in a module that is written by script/variants, others from the server (`addVariant`).
 */
import { DESCRIPTIONS } from "./variants.generated.mjs";

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
export const AXES = ["yaw", "pitch"];
/** One hour at 25 frames a second: the longest document. */
export const MAX_FRAMES = 90009;

/**
 * @typedef {object} Key
 * @property {string} name in scripts and documents
 * @property {string} label what a player reads
 * @property {Record<string, string>} [labels] by language
 * @property {string[]} [aliases] other words in scripts
 * @property {string[]} [codes] physical keys; the first is the one that is shown
 * @property {string} [gamepad] the direction or shoulder that holds it
 * @property {number[]} [pad] row and column on the touch pad
 * @property {number} colour hue of its lane
 * @property {string} [opposite] the key that undoes it
 * @property {string} [means] what it does in words that variants share
 */

/**
 * @typedef {object} Camera
 * @property {string[]} axes those that were used in training; none where there is no camera
 * @property {number} unit degrees a frame of one unit
 * @property {number} speed the usual one, in units
 * @property {number} tested beyond this, quality is untested
 * @property {number} limit
 */

/**
 * A variant as Python tells of it (variants/browser.py).
 * @typedef {object} Description
 * @property {string} name
 * @property {string} title
 * @property {Record<string, string>} [titles] by language
 * @property {boolean} exclusive one key per row, `idle` among them
 * @property {Key[]} keys
 * @property {Camera} camera
 * @property {Record<string, string>} [presets] scripts with places for lengths
 */

/**
 * @typedef {object} Variant
 * @property {string} name
 * @property {string} title
 * @property {Record<string, string>} titles by language
 * @property {string[]} keys keyboard columns in the order of the weights
 * @property {Key[]} controls the same keys, and all that is known of them
 * @property {boolean} exclusive one key per row, `idle` among them
 * @property {boolean} mouse has a camera input
 * @property {boolean} pitch pitch was used in training
 * @property {Camera} camera
 * @property {Record<string, string>} presets scripts with places for lengths
 */

/** Those that are known, the default first. @type {Record<string, Variant>} */
export const VARIANTS = {};

/** Make a variant known. @param {Description} description */
export function addVariant({ name, title, titles = {}, exclusive, keys, camera, presets = {} }) {
  const [mouse, pitch] = [camera.axes.length > 0, camera.axes.includes("pitch")];
  VARIANTS[name] = {
    name,
    title,
    titles,
    keys: keys.map((key) => key.name),
    controls: keys,
    exclusive,
    mouse,
    pitch,
    camera,
    presets,
  };
}

DESCRIPTIONS.forEach(addVariant);

/** The variant that is meant where none is named. */
export const defaultVariant = () => Object.values(VARIANTS)[0];

/** Hues of the camera lanes. @type {Record<string, number>} */
const AXIS_COLOURS = { yaw: 196, pitch: 320 };

/**
 * @typedef {object} Lane
 * @property {string} id name of the track in the document; `idle` is derived and never stored
 * @property {"key"|"idle"|"axis"} kind
 * @property {number} colour its hue
 */

/**
 * The lanes the editor shows for a variant, top to bottom.
 * @param {Variant} variant
 * @returns {Lane[]}
 */
export function lanesOf(variant) {
  /** @type {Lane[]} */
  const lanes = variant.controls.map(({ name, colour }) => ({
    id: name,
    kind: name === "idle" ? "idle" : "key",
    colour,
  }));
  return lanes.concat(cameraAxes(variant).map((id) => ({ id, kind: "axis", colour: AXIS_COLOURS[id] })));
}

/**
 * What a lane is called where people read it.
 * @param {Variant} variant @param {string} id @param {import("../timeline/parts/i18n.mjs").Translate} words
 */
export function laneName(variant, id, words) {
  const key = variant.controls.find(({ name }) => name === id);
  return key ? (key.labels?.[words.language ?? "en"] ?? key.label) : words(`lane.${id}`);
}

/** The keys that can be held: all but `idle`. @param {Variant} variant */
export function heldControls(variant) {
  return variant.controls.filter((key) => key.name !== "idle");
}

/** Their names. @param {Variant} variant */
export function heldKeys(variant) {
  return heldControls(variant).map((key) => key.name);
}

/** The camera lanes that `variant` has. @param {Variant} variant */
export function cameraAxes(variant) {
  return variant.camera.axes;
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
