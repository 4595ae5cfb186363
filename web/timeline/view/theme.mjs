// @ts-check
/** Colours of the canvas, taken from the palette that is in use and mixed so that they can be told apart on it. */

/** @typedef {[number, number, number]} Rgb */
/**
 * @typedef {object} Theme
 * @property {boolean} dark
 * @property {string} bg
 * @property {string} band every other block
 * @property {string} head column of names
 * @property {string} line
 * @property {string} strong
 * @property {string} text
 * @property {string} dim
 * @property {string} accent
 * @property {string} error
 * @property {string} warn
 * @property {string} rec
 * @property {string} select
 * @property {string} font
 * @property {(hue: number) => {fill: string, edge: string, ink: string}} lane of a hue; the lightness comes from the
 *   palette
 */

/** The hue of a block that is made. */
export const MADE = 158;

/** @param {string} css any colour that the browser knows @param {Rgb} fallback @returns {Rgb} */
function parseColour(css, fallback) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  if (!ctx || !css || !CSS.supports("color", css)) return fallback;
  ctx.fillStyle = css;
  ctx.fillRect(0, 0, 1, 1);
  const [r, g, b, alpha] = ctx.getImageData(0, 0, 1, 1).data;
  return alpha < 200 ? fallback : [r, g, b];
}

/** @param {Rgb} a @param {Rgb} b @param {number} u @returns {Rgb} */
const mix = (a, b, u) => /** @type {Rgb} */ (a.map((v, i) => Math.round(v + (b[i] - v) * u)));
/** @param {Rgb} c @param {number} [alpha] */
const css = (c, alpha = 1) => `rgba(${c.join(",")},${alpha})`;

/** Relative luminance, 0..1 (WCAG 2). @param {Rgb} c */
export function luminance(c) {
  const [r, g, b] = c.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Contrast ratio of two colours, 1..21. @param {Rgb} a @param {Rgb} b */
export function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

/**
 * `colour` moved towards black or white until it stands out from `bg`.
 * @param {Rgb} colour @param {Rgb} bg @param {number} least
 */
function legible(colour, bg, least) {
  /** @type {Rgb} */
  const goal = luminance(bg) < 0.35 ? [255, 255, 255] : [0, 0, 0];
  for (let u = 0; u <= 1; u += 0.05) {
    const candidate = mix(colour, goal, u);
    if (contrast(candidate, bg) >= least) return candidate;
  }
  return goal;
}

/** @param {number} hue @param {number} s @param {number} l @returns {Rgb} */
function hsl(hue, s, l) {
  const f = (/** @type {number} */ n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [f(0), f(8), f(4)];
}

/** The theme of the palette around `element`. @param {HTMLElement} element @returns {Theme} */
export function readTheme(element) {
  const style = getComputedStyle(element);
  const get = (/** @type {string} */ name, /** @type {Rgb} */ fallback) =>
    parseColour(style.getPropertyValue(name).trim(), fallback);
  const bg = get("--comfy-input-bg", [34, 34, 34]);
  const dark = luminance(bg) < 0.35;
  const text = legible(get("--input-text", [221, 221, 221]), bg, 7);
  const dim = legible(get("--descrip-text", [153, 153, 153]), mix(bg, text, 0.1), 4.6);
  const accent = legible([58, 134, 255], bg, 3.2);
  /** @type {Map<number, {fill: string, edge: string, ink: string}>} */
  const lanes = new Map();
  const lane = (/** @type {number} */ hue) => {
    const found = lanes.get(hue);
    if (found) return found;
    const fill = legible(hsl(hue, dark ? 0.5 : 0.62, dark ? 0.5 : 0.38), bg, 3.2);
    const ink = luminance(fill) > 0.3 ? /** @type {Rgb} */ ([12, 14, 18]) : /** @type {Rgb} */ ([255, 255, 255]);
    const made = { fill: css(fill), edge: css(mix(fill, dark ? [255, 255, 255] : [0, 0, 0], 0.35)), ink: css(ink) };
    lanes.set(hue, made);
    return made;
  };
  return {
    dark,
    bg: css(bg),
    band: css(mix(bg, text, 0.055)),
    head: css(mix(bg, text, dark ? 0.09 : 0.1)),
    line: css(mix(bg, text, 0.16)),
    strong: css(mix(bg, text, 0.4)),
    text: css(text),
    dim: css(dim),
    accent: css(accent),
    error: css(legible(get("--error-text", [255, 68, 68]), bg, 4.5)),
    warn: css(legible([230, 160, 30], bg, 3.2)),
    rec: css(legible([230, 50, 60], bg, 3.2)),
    select: css(accent, 0.22),
    font: "11px Inter, system-ui, sans-serif",
    lane,
  };
}
