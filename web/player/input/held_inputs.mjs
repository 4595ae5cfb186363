// @ts-check
/** What a player does with keys of their choice, a gamepad or fingers, as snapshots for the session. */
import { heldKeys } from "../../model/variants.mjs";
import { HeldInputs, actionOf } from "../../timeline/input/record.mjs";

const REPEAT_MS = 250; // what is held is said again so often; the session forgets it after a second of silence
const DEAD = 0.15; // of a stick
const PRESSED = 0.5; // how far a stick is a key
const LANE = "lane:"; // codes of buttons that are no keys of a keyboard
export const NEVER = /^(Control|Alt|Meta|OS|Escape|Tab|F\d+$|Backspace|ContextMenu)/; // keys that no one may bind

/** What of a gamepad holds keys: the left stick and the cross, and the shoulders. */
const PAD = ["up", "down", "left", "right", "left_shoulder", "right_shoulder"];

/** @typedef {import("../../model/variants.mjs").Variant} Variant */
/** @typedef {{keys: string[], taps: string[], stick: [number, number], look: [number, number]}} Snapshot */

export class PlayerInputs extends HeldInputs {
  /** @param {Variant} variant */
  constructor(variant) {
    super(variant);
    /** Keys of the player's own choice: code -> key of the variant. @type {Record<string, string>} */
    this.own = readOwn(variant);
    this.pad = { yaw: 0, pitch: 0 };
    /** The name of a gamepad whose buttons the browser does not know, where there is no other. */
    this.unknownPad = "";
    /** @type {Set<string>} lanes that the gamepad holds */
    this.padHeld = new Set();
    this.sent = "";
    this.sentAt = -Infinity;
    this.seq = 0;
  }

  /** @param {string} code */
  action(code) {
    if (code.startsWith(LANE)) return { key: code.slice(LANE.length), axis: null, sign: 0 };
    if (this.own[code]) return { key: this.own[code], axis: null, sign: 0 };
    const action = actionOf(this.variant, code);
    return action?.key && Object.values(this.own).includes(action.key) ? null : action;
  }

  /** A button that is no key of the keyboard. @param {string} lane @param {boolean} on */
  press(lane, on) {
    if (on) this.down(LANE + lane);
    else this.up(LANE + lane);
  }

  /** Whether a button is held. @param {string} lane */
  presses(lane) {
    return this.held.has(LANE + lane);
  }

  release() {
    super.release();
    this.pad = { yaw: 0, pitch: 0 };
    this.padHeld = new Set();
  }

  /**
   * Bind a code to a key of the variant, in place of all others.
   * @param {string} lane @param {string} code @returns {boolean} whether the next visit will have it too
   */
  bind(lane, code) {
    for (const [other, key] of Object.entries(this.own)) if (key === lane || other === code) delete this.own[other];
    this.own[code] = lane;
    this.release();
    return store(this.variant, this.own);
  }

  /** The keys as they were. */
  unbind() {
    this.own = {};
    this.release();
    store(this.variant, null);
  }

  /**
   * Look at the gamepad in use. What the browser has no standard layout for is left alone: of some, triggers at rest
   * are axes at −1, and others are no gamepads at all.
   * @param {(Gamepad | null)[]} gamepads
   */
  pollGamepad(gamepads) {
    const connected = gamepads.filter((one) => one?.connected);
    const standard = connected.filter((one) => one?.mapping === "standard");
    const gamepad = standard.find(isUsed) ?? standard[0];
    this.unknownPad = gamepad ? "" : (connected.find((one) => one?.buttons.length)?.id ?? "");
    if (!gamepad && !this.padHeld.size && !this.pad.yaw && !this.pad.pitch) return;
    // one that is gone holds nothing
    const [x, y, rx = 0, ry = 0] = gamepad?.axes ?? [0, 0];
    const button = (/** @type {number} */ i) => Boolean(gamepad?.buttons[i]?.pressed);
    const on = [
      y < -PRESSED || button(12),
      y > PRESSED || button(13),
      x < -PRESSED || button(14),
      x > PRESSED || button(15),
      button(4),
      button(5),
    ];
    on.forEach((pressed, i) => {
      const lane = this.variant.controls.find((key) => key.gamepad === PAD[i])?.name;
      if (!lane || pressed === this.padHeld.has(lane)) return;
      this.press(lane, pressed);
      if (pressed) this.padHeld.add(lane);
      else this.padHeld.delete(lane);
    });
    const steer = this.variant.mouse && !this.variant.pitch && Math.abs(x) > Math.abs(rx) ? x : rx;
    const { speed } = this.variant.camera;
    this.pad = { yaw: speed * curve(steer), pitch: this.variant.pitch ? 0 - speed * curve(ry) : 0 };
  }

  /**
   * The snapshot to send, or null where nothing changed.
   * @param {number} now milliseconds @returns {(Snapshot & {seq: number}) | null}
   */
  snapshot(now) {
    const { keys, camera } = this.read(this.held);
    const pitch = Number(this.variant.pitch);
    const taps = this.read(this.taps).keys;
    const held = JSON.stringify([keys, [(camera.pitch + this.pad.pitch) * pitch, camera.yaw + this.pad.yaw]]);
    const { look } = this;
    const same = held === this.sent && !taps.length && !look.yaw && !look.pitch;
    const idle = !keys.length && !camera.yaw && !camera.pitch && !this.pad.yaw && !this.pad.pitch;
    if (same && (idle || now - this.sentAt < REPEAT_MS)) return null;
    this.look = { yaw: 0, pitch: 0 };
    this.taps.length = 0;
    this.sent = held;
    this.sentAt = now;
    const stick = JSON.parse(held)[1];
    return { seq: ++this.seq, keys, taps, stick, look: [look.pitch * pitch, look.yaw] };
  }
}

/** The speed of a stick as a part of the usual one. @param {number} value -1 to 1 */
function curve(value) {
  const beyond = (Math.abs(value) - DEAD) / (1 - DEAD);
  return beyond > 0 ? Math.sign(value) * Math.min(1, beyond) ** 2 : 0;
}

/** @param {Gamepad | null} gamepad */
const isUsed = (gamepad) =>
  Boolean(gamepad?.buttons.some((button) => button.pressed) || gamepad?.axes.some((value) => Math.abs(value) > DEAD));

/**
 * Store keys, or none; a browser may let nobody store anything.
 * @param {Variant} variant @param {Record<string, string> | null} own @returns {boolean} whether it did
 */
function store(variant, own) {
  try {
    if (own) localStorage.setItem(storeName(variant), JSON.stringify(own));
    else localStorage.removeItem(storeName(variant));
    return true;
  } catch {
    return false;
  }
}

/** @param {Variant} variant */
function storeName(variant) {
  return `matrixgame.keys.${variant.name}`;
}

/**
 * The player's own keys as they were stored; what makes no sense is left out.
 * @param {Variant} variant @returns {Record<string, string>}
 */
function readOwn(variant) {
  try {
    const stored = Object.entries(JSON.parse(localStorage.getItem(storeName(variant)) ?? "{}"));
    return Object.fromEntries(stored.filter(([code, key]) => heldKeys(variant).includes(key) && !NEVER.test(code)));
  } catch {
    return {};
  }
}
