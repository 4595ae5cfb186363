// @ts-check
/** Camera values as people write and read them: units a frame, degrees, ramps, and whole turns in a time. */
import { FPS, FRAMES_PER_BLOCK, secondsOf } from "../../model/variants.mjs";
import { EASINGS } from "../../model/document.mjs";
import { shortest } from "../../model/tracks.mjs";

/** @typedef {import("../parts/i18n.mjs").Translate} Translate */
/** @typedef {import("../../model/variants.mjs").Camera} Camera */
/** @typedef {import("../../model/tracks.mjs").Entry} Entry */
/**
 * @typedef {{v0: number, v1: number, easing: string | null, rows: number | null}} Exact from v0 to v1, or held where
 *   they are equal and there is no easing; over so many rows, or as many as there are
 */

const ROWS = /** @type {Record<string, number>} */ ({ s: FPS, ms: FPS / 1000, f: 1, b: FRAMES_PER_BLOCK });

/**
 * A camera value as people write it: `0.1`, `-.05`, `1.5deg`, `2°`.
 * @param {string} text @param {Translate} words @param {import("../../model/variants.mjs").Camera} camera
 * @returns {{value: number} | {error: string}}
 */
export function readCamera(text, words, camera) {
  const match = /^\s*([+\-−]?)\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*(deg|°)?\s*$/i.exec(text);
  if (!match) return { error: words("value.bad") };
  const size = Number(match[2].replace(",", ".")) / (match[3] ? camera.unit : 1);
  const value = Math.round((match[1] && match[1] !== "+" ? -size : size) * 1e6) / 1e6 + 0;
  const { limit, unit } = camera;
  return Math.abs(value) > limit
    ? { error: words("value.range", { value: text.trim().slice(0, 20), limit, degrees: limit * unit }) }
    : { value };
}

/**
 * `0.1`, `1.5deg`, `0 -> 0.1`, `0 -> 0.1 smooth`, each with `in 2 s` or not; `turn 90 deg`, or `90 deg in 2 s`.
 * @param {string} text @param {Translate} words @param {Camera} camera @param {number} rows that are there
 * @returns {Exact | {error: string}}
 */
export function readExact(text, words, camera, rows) {
  const [, what, count, unit] = /^(.*?)(?:\s+in\s+(\d+(?:[.,]\d+)?)\s*(ms|s|f|b))?\s*$/is.exec(text) ?? ["", text];
  const over = count ? Math.round(Number(count.replace(",", ".")) * ROWS[unit.toLowerCase()]) : null;
  if (over === 0) return { error: words("exact.short") };
  const turn = /^\s*(turn\s+)?([+\-−]?\s*\d+(?:[.,]\d+)?)\s*(?:deg|°)\s*$/i.exec(what);
  if (turn && (turn[1] || over !== null)) return readTurn(turn[2], over ?? rows, over, words, camera);
  const ramp = /^(.+?)\s*(?:->|→)\s*(.+?)(?:\s+([a-z]+))?$/i.exec(what.trim());
  if (!ramp) {
    const read = readCamera(what, words, camera);
    return "error" in read ? read : { v0: read.value, v1: read.value, easing: null, rows: over };
  }
  const easing = ramp[3]?.toLowerCase() ?? null;
  if (easing !== null && !EASINGS.includes(easing))
    return { error: words("exact.easing", { name: easing.slice(0, 20), all: EASINGS.join(", ") }) };
  const [from, to] = [readCamera(ramp[1], words, camera), readCamera(ramp[2], words, camera)];
  if ("error" in from) return from;
  if ("error" in to) return to;
  return { v0: from.value, v1: to.value, easing: easing ?? "", rows: over };
}

/**
 * A whole turn: so many degrees, spread evenly.
 * @param {string} degrees @param {number} rows @param {number | null} over @param {Translate} words
 * @param {Camera} camera @returns {Exact | {error: string}}
 */
function readTurn(degrees, rows, over, words, camera) {
  const whole = Number(degrees.replace(/[−]/, "-").replace(/\s/g, "").replace(",", "."));
  const value = whole / rows / camera.unit;
  if (Math.abs(value) <= camera.limit) {
    const near = shortest(Math.round(value * 1e6) / 1e6);
    return { v0: near, v1: near, easing: null, rows: over };
  }
  const least = Math.ceil(Math.abs(whole) / camera.unit / camera.limit);
  return { error: words("exact.fast", { degrees: whole, s: Number(secondsOf(least).toFixed(2)), rows: least }) };
}

/** @type {Record<string, string>} */
export const EN = {
  "exact.short": "A time of less than a frame; write at least 1 f",
  "exact.easing": "There is no easing “{name}”; use one of {all}",
  "exact.fast": "{degrees}° takes at least {s} s ({rows} frames) at the highest speed; give it more time",
  "exact.late": "The timeline ends {n} {n:frame|frames} earlier; make it longer first, or give it less time",
  "exact.hold": "{value} ≈ {degrees}° a frame; turns {turn}° in {s} s",
  "exact.ramp": "{v0} → {v1}; turns {turn}° in {s} s",
  "exact.value": "{value} · {degrees}° a frame · {s} s",
  "exact.run": "{lane} · {n} {n:frame|frames} · {s} s",
  "exact.line": "{v0} → {v1} · {n} {n:frame|frames} · {s} s",
  "status.value": "{lane} {value} ({degrees}° a frame)",
  "status.turn": "{lane} turns {turn}°",
};

/** @type {Record<string, string>} */
export const ZH = {
  "exact.short": "时间不足一帧；请至少输入 1 f",
  "exact.easing": "没有名为“{name}”的曲线；可用：{all}",
  "exact.fast": "{degrees}° 以最高速度至少需要 {s} 秒（{rows} 帧）；请延长时间",
  "exact.late": "时间轴提前 {n} 帧结束；请先加长，或缩短时间",
  "exact.hold": "{value} ≈ 每帧 {degrees}°；{s} 秒内共转 {turn}°",
  "exact.ramp": "{v0} → {v1}；{s} 秒内共转 {turn}°",
  "exact.value": "{value} · 每帧 {degrees}° · {s} 秒",
  "exact.run": "{lane} · {n} 帧 · {s} 秒",
  "exact.line": "{v0} → {v1} · {n} 帧 · {s} 秒",
  "status.value": "{lane} {value}（每帧 {degrees}°）",
  "status.turn": "{lane} 共转 {turn}°",
};
