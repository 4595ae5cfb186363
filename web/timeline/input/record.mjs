// @ts-check
/**
 * Recording without a model: what is held and how the mouse moves, sampled 25 times a second. A key that was pressed
 * and released between two samples counts for one (tap latch); nothing stays held when the page loses the focus.
 */
import { FPS, heldKeys } from "../../model/variants.mjs";
import { canonicalCurve, holdsOf, joinRuns } from "../../model/tracks.mjs";

export const SAMPLE_MS = 1000 / FPS;
const UNITS_PER_PIXEL = 0.01;

/** Keys that move the camera: axis and direction. @type {Record<string, [string, number]>} */
const CAMERA_KEYS = {
  ArrowLeft: ["yaw", -1],
  ArrowRight: ["yaw", 1],
  ArrowUp: ["pitch", 1],
  ArrowDown: ["pitch", -1],
  KeyJ: ["yaw", -1],
  KeyL: ["yaw", 1],
  KeyI: ["pitch", 1],
  KeyK: ["pitch", -1],
};
/** @type {Record<string, [string, number]>} */
const STEERING = { KeyA: ["yaw", -1], KeyD: ["yaw", 1] };

/**
 * The physical key of an event. Keyboards on screens, remote desktops and Android say none: then the one that the
 * character has on a usual keyboard.
 * @param {{code: string, key: string}} event @returns {string} "" where there is none
 */
export function codeOfKey({ code, key }) {
  if (code && code !== "Unidentified") return code;
  if (/^[a-z]$/i.test(key)) return `Key${key.toUpperCase()}`;
  if (/^[0-9]$/.test(key)) return `Digit${key}`;
  return key === " " ? "Space" : /^[A-Z]\w+$/.test(key) && key !== "Unidentified" ? key : "";
}

/**
 * The action of a physical key for a variant, or null. Keys are physical, so that WASD stays where it is on every
 * layout.
 * @param {import("../../model/variants.mjs").Variant} variant @param {string} code
 */
export function actionOf(variant, code) {
  const key = variant.controls.find(({ codes }) => codes?.includes(code));
  if (key) return { key: key.name, axis: null, sign: 0 };
  const camera = variant.mouse
    ? variant.pitch
      ? CAMERA_KEYS[code]
      : { ...CAMERA_KEYS, ...STEERING }[code]
    : undefined;
  if (!camera || (camera[0] === "pitch" && !variant.pitch)) return null;
  return { key: null, axis: camera[0], sign: camera[1] };
}

/**
 * The key that a code stands for in the help and on the pad.
 * @param {import("../../model/variants.mjs").Variant} variant @param {string} lane
 */
export function codeOf(variant, lane) {
  return variant.controls.find(({ name }) => name === lane)?.codes?.[0] ?? "";
}

/** Keys that are held or were tapped, how far the mouse moved, where a stick stands. */
export class HeldInputs {
  /** @param {import("../../model/variants.mjs").Variant} variant */
  constructor(variant) {
    this.variant = variant;
    /** @type {Set<string>} codes */
    this.held = new Set();
    /** @type {string[]} codes pressed since the last sample, in order */
    this.taps = [];
    this.look = { yaw: 0, pitch: 0 };
    this.stick = { yaw: 0, pitch: 0 };
  }

  /** What a code does, or null. @param {string} code */
  action(code) {
    return actionOf(this.variant, code);
  }

  /** @param {string} code @returns {boolean} whether there is a use for it */
  down(code) {
    if (!this.action(code)) return false;
    if (!this.held.has(code)) this.taps.push(code);
    this.held.delete(code);
    this.held.add(code);
    return true;
  }

  /** @param {string} code */
  up(code) {
    this.held.delete(code);
  }

  /** The mouse moved by so many pixels; down is positive. @param {number} dx @param {number} dy */
  move(dx, dy) {
    this.look.yaw += dx * UNITS_PER_PIXEL;
    this.look.pitch -= dy * UNITS_PER_PIXEL;
  }

  /** Whether anything is done. */
  get busy() {
    const moves = [this.look, this.stick].some(({ yaw, pitch }) => yaw !== 0 || pitch !== 0);
    return this.held.size > 0 || this.taps.length > 0 || moves;
  }

  /** What was done before it counts is forgotten; what is held goes on. */
  begin() {
    this.taps = [];
    this.look = { yaw: 0, pitch: 0 };
  }

  /** Nothing is held any more: the page lost the focus. */
  release() {
    this.held.clear();
    this.taps = [];
    this.look = { yaw: 0, pitch: 0 };
    this.stick = { yaw: 0, pitch: 0 };
  }

  /**
   * The keys among codes, each once, and the speed of the camera that keys and stick make.
   * @param {Iterable<string>} codes
   */
  read(codes) {
    /** @type {string[]} */
    const keys = [];
    const camera = { ...this.stick };
    for (const code of codes) {
      const action = this.action(code);
      if (action?.key && !keys.includes(action.key)) keys.push(action.key);
      if (action?.axis) camera[/** @type {"yaw"|"pitch"} */ (action.axis)] += action.sign * this.variant.camera.speed;
    }
    return { keys, camera };
  }
}

/** One take: the inputs of one go, row by row. */
export class Take extends HeldInputs {
  /** @param {import("../../model/variants.mjs").Variant} variant @param {string[]} lanes armed */
  constructor(variant, lanes) {
    super(variant);
    this.lanes = lanes.includes("idle") ? heldKeys(variant) : lanes;
    /** @type {{keys: string[], yaw: number, pitch: number}[]} */
    this.rows = [];
  }

  /** Take the row of this moment. */
  sample() {
    const { keys, camera } = this.read(new Set([...this.held, ...this.taps]));
    for (const axis of /** @type {const} */ (["yaw", "pitch"])) {
      camera[axis] = this.clamp(camera[axis] + this.look[axis]);
      this.look[axis] = 0;
    }
    this.taps.length = 0;
    const last = keys[keys.length - 1];
    this.rows.push({ keys: this.variant.exclusive && last ? [last] : keys, ...camera });
  }

  /** @param {number} value */
  clamp(value) {
    const { tested } = this.variant.camera;
    return Math.round(Math.max(-tested, Math.min(tested, value)) * 100) / 100 + 0;
  }

  /** The lanes of the take, from row 0. @returns {import("../../model/document.mjs").Tracks} */
  tracks() {
    return Object.fromEntries(
      this.lanes.map((lane) => {
        if (lane !== "yaw" && lane !== "pitch") {
          return [
            lane,
            joinRuns(
              this.rows.flatMap((row, t) =>
                row.keys.includes(lane) ? [/** @type {[number, number]} */ ([t, 1])] : [],
              ),
            ),
          ];
        }
        return [
          lane,
          canonicalCurve(
            holdsOf(
              this.rows.map((row) => row[lane]),
              0,
            ),
          ),
        ];
      }),
    );
  }
}
