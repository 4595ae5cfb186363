// @ts-check
/**
 * What answers an input before the block is made: the picture on screen, moved as keys and camera ask, on a canvas over
 * it, until the frame that was made with them comes. It only looks: what is sent, made, shown beneath and kept is the
 * same without it.
 */
import { FPS } from "../../model/variants.mjs";
import { element, update } from "../../timeline/view/style.mjs";

const STORED = "matrixgame.preview"; // where this browser remembers the player's choice
const FIELD = 78; // degrees from left to right; no model says its own
const AT_ONCE = 0.04; // seconds of moving that a change shows in the very next picture
const SETTLE = 0.08; // seconds in which most of the way back is gone, once the frame is there
const LONGEST = 0.1; // seconds between two pictures; a page that slept does not jump
const LEAST = 1e-3; // of the picture: less is not seen

/** How fast keys move the picture, in parts of it a second, by where they stand on a gamepad. */
const STEPS = /** @type {Record<string, Partial<Moved>>} */ ({
  up: { zoom: 0.3 },
  down: { zoom: -0.3 },
  left: { aside: -0.2 },
  right: { aside: 0.2 },
  left_shoulder: { yaw: -0.5 },
  right_shoulder: { yaw: 0.5 },
});
/** The same where keys are moves of a runner: up is a jump and down a slide. */
const RUNNER = /** @type {typeof STEPS} */ ({ ...STEPS, up: { pitch: 0.4 }, down: { pitch: -0.4 } });
/** The picture, after its mirror images on all sides: what it leaves free has no seam. Signs, widths and heights. */
const TILES = [
  [-1, 1, 0, 0],
  [-1, 1, 2, 0],
  [1, -1, 0, 0],
  [1, -1, 0, 2],
  [1, 1, 0, 0],
];
/** How far it is moved at most, in parts of the picture. */
const MOST = { yaw: 0.15, pitch: 0.15, zoom: 0.12, aside: 0.1 };

/**
 * A way the picture is moved, in parts of its width: `yaw` to the left as the camera turns right, `pitch` down as it
 * turns up, `zoom` larger as it goes forward, `aside` to the left as it steps right, most at the bottom.
 * @typedef {{yaw: number, pitch: number, zoom: number, aside: number}} Moved
 */
/** @typedef {{seq: number, keys: string[], stick: [number, number], look: [number, number]}} Told what is held */

export class Preview {
  constructor() {
    this.canvas = element("canvas", { class: "mgp-preview", hidden: true, "aria-hidden": "true" });
    this.at = 0; // of the last picture, in milliseconds
    this.latest = 0; // snapshot that was told
    this.answered = 0; // the last snapshot in the frame on screen
    this.asked = 0; // the snapshot of the last change
    /** What is held, as a text. @type {string} */
    this.held = "";
    this.speed = still();
    this.moved = still();
  }

  /** Nothing is asked for. */
  rest() {
    this.asked = this.answered;
    this.held = "";
    this.speed = still();
    this.moved = still();
    update(this.canvas, { hidden: true });
  }

  /** What is held was told. @param {Told} told @param {import("../../model/variants.mjs").Variant} variant */
  told({ seq, keys, stick, look }, variant) {
    if (seq < this.latest) this.answered = this.asked = 0; // another count began
    this.latest = seq;
    const held = JSON.stringify([keys, stick]);
    const turned = look[0] !== 0 || look[1] !== 0;
    if (held === this.held && !turned) return; // said again
    this.asked = seq;
    const part = variant.camera.unit / FIELD;
    this.moved.pitch += look[0] * part;
    this.moved.yaw += look[1] * part;
    if (held === this.held) return;
    this.held = held;
    this.speed = { ...still(), pitch: stick[0] * part * FPS, yaw: stick[1] * part * FPS };
    const steps = variant.exclusive ? RUNNER : STEPS;
    for (const { name, gamepad } of variant.controls)
      if (keys.includes(name)) add(this.speed, steps[gamepad ?? ""] ?? {}, 1);
    add(this.moved, this.speed, AT_ONCE);
  }

  /** A frame is on screen. @param {number} seq the last snapshot in it; others who played counted their own */
  answer(seq) {
    if (seq <= this.latest) this.answered = seq;
  }

  /**
   * Show the picture as it is moved now.
   * @param {HTMLCanvasElement} picture @param {boolean} on whether there is anything to answer @param {number} now
   * milliseconds
   */
  draw(picture, on, now) {
    const seconds = Math.min(LONGEST, Math.max(0, now - this.at) / 1000);
    this.at = now;
    if (!on) {
      if (this.held || !this.canvas.hidden) this.rest();
      return;
    }
    if (this.answered < this.asked) add(this.moved, this.speed, seconds);
    else for (const way of ways(this.moved)) this.moved[way] *= Math.exp(-seconds / SETTLE);
    const seen = ways(this.moved).some((way) => Math.abs(this.moved[way]) > LEAST);
    if (seen) this.paint(picture);
    update(this.canvas, { hidden: !seen });
  }

  /** @param {HTMLCanvasElement} picture */
  paint(picture) {
    const { canvas } = this;
    const { width, height } = picture;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    if (!context) return;
    const [a, b, c, d, e, f] = matrixOf(this.moved, width, height);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(picture, 0, 0);
    for (const [acrossX, acrossY, x, y] of TILES) {
      context.setTransform(a, b, c, d, e, f);
      context.transform(acrossX, 0, 0, acrossY, x * width, y * height);
      context.drawImage(picture, 0, 0);
    }
  }
}

/**
 * The matrix of a canvas that moves a picture, which is no further than is believed.
 * @param {Moved} moved @param {number} width @param {number} height
 */
export function matrixOf(moved, width, height) {
  const [yaw, pitch, zoom, aside] = ways(moved).map((way) => MOST[way] * Math.tanh(moved[way] / MOST[way]));
  const scale = 1 + zoom;
  const shear = (-aside * width) / height; // nothing at the top, where it is far; all at the bottom
  const x = (width * (1 - scale)) / 2 - yaw * width;
  const y = (height * (1 - scale)) / 2 + pitch * width;
  return [scale, 0, shear * scale, scale, x, y];
}

/** Whether the player wants it: as was chosen in this browser, else unless the system asks for less motion. */
export function wanted() {
  try {
    const stored = localStorage.getItem(STORED);
    if (stored !== null) return stored === "true";
  } catch {
    // nothing may be stored here
  }
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Remember a choice, where the browser stores anything. @param {boolean} on */
export function choose(on) {
  try {
    localStorage.setItem(STORED, String(on));
  } catch {
    // it is for this visit
  }
}

/** @returns {Moved} */
const still = () => ({ yaw: 0, pitch: 0, zoom: 0, aside: 0 });

/** @param {Moved} moved */
const ways = (moved) => /** @type {(keyof Moved)[]} */ (Object.keys(moved));

/** @param {Moved} moved @param {Partial<Moved>} more @param {number} times */
function add(moved, more, times) {
  for (const way of ways(moved)) moved[way] += (more[way] ?? 0) * times;
}
