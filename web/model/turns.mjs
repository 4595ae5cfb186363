// @ts-check
/** How far the camera turns, and its values as texts. */
import { sampleCurve } from "./tracks.mjs";

/**
 * Degrees that a camera lane turns in rows a..b.
 * @param {import("./tracks.mjs").Entry[]} entries @param {import("./variants.mjs").Camera} camera @param {number} a
 * @param {number} b
 */
export function turnOf(entries, camera, a, b) {
  return sampleCurve(entries, a, b).reduce((sum, value) => sum + value, 0) * camera.unit;
}

/** A value with its sign: +0.1, −0.05, 0. @param {number} value */
export function signed(value) {
  const size = Number(Math.abs(value).toFixed(4));
  return size === 0 ? "0" : `${value < 0 ? "−" : "+"}${size}`;
}

/** Degrees as exactly as one wants to know them. @param {number} degrees */
export const degreesText = (degrees) => String(Number(degrees.toFixed(Math.abs(degrees) < 10 ? 2 : 1)) + 0);
