// @ts-check
/** What a run will make and how long that takes, and how far one is: numbers, and as sentences. */
import { hasPictures as isStored } from "../pictures/frames.mjs";

/** @typedef {import("../parts/i18n.mjs").Translate} Translate */
/** @typedef {{at: number, of: number, seconds: number | null, rate: number | null}} Pace of a run, at a block */
/** @typedef {{make: number, of: number, seconds: number | null}} Cost */

/**
 * What a run of the timeline would make; null where there is no cache, and so nothing is known.
 * @param {import("../view/strip.mjs").StoredBlocks | null} stored
 * @param {import("../view/strip.mjs").BlockState[]} states of its blocks @returns {Cost | null}
 */
export function costOf(stored, states) {
  if (!stored) return null;
  const make = states.filter((state) => !isStored(state)).length;
  return { make, of: states.length, seconds: stored.seconds ? stored.seconds * make : null };
}

/** @param {Cost} cost @param {Translate} words */
export function costText({ make, of, seconds }, words) {
  if (!make) return words("cost.none", { of });
  const all = words("cost.make", { make, of });
  return seconds === null ? all : `${all}${words("cost.about", { time: timeText(seconds, words) })}`;
}

/** @param {Pace} pace @param {Translate} words */
export function paceText({ at, of, seconds, rate }, words) {
  const parts = [words("pace.at", { at, of })];
  if (seconds !== null) parts.push(words("pace.left", { time: timeText(seconds, words) }));
  if (rate !== null) parts.push(words("pace.rate", { rate: Number(rate.toPrecision(3)) }));
  return parts.join(words("pace.comma"));
}

/**
 * As exactly as anybody wants to know it: 9 s, 2 min 10 s, 1 h 5 min.
 * @param {number} seconds @param {Translate} words
 */
export function timeText(seconds, words) {
  const whole = Math.round(seconds);
  if (whole < 60) return words("time.s", { s: Math.max(1, whole) });
  if (whole < 3600) return words("time.min", { min: Math.floor(whole / 60), s: Math.floor((whole % 60) / 10) * 10 });
  return words("time.h", { h: Math.floor(whole / 3600), min: Math.floor((whole % 3600) / 60) });
}

/** @type {Record<string, string>} */
export const EN = {
  "cost.none": "nothing to make: all {of} blocks are stored",
  "cost.make": "will make {make} of {of} blocks",
  "cost.about": ", about {time}",
  "pace.at": "block {at} of {of}",
  "pace.left": "{time} left",
  "pace.rate": "{rate} frames/s",
  "pace.comma": ", ",
  "pace.cancelled": "Cancelled: {n} of {of} {of:block|blocks} kept, and Run goes on from there",
  "time.s": "{s} s",
  "time.min": "{min} min {s} s",
  "time.h": "{h} h {min} min",
  more: "Go on: more blocks at the end (A)",
  "more.title": "How many blocks more, at the end?",
  "more.bad": "Write a number of blocks from 1 to {most}",
  "menu.more": "Go on: more blocks at the end…",
};

/** @type {Record<string, string>} */
export const ZH = {
  "cost.none": "无需生成：全部 {of} 块均已存储",
  "cost.make": "将生成 {of} 块中的 {make} 块",
  "cost.about": "，约 {time}",
  "pace.at": "第 {at} 块，共 {of} 块",
  "pace.left": "还需 {time}",
  "pace.rate": "{rate} 帧/秒",
  "pace.comma": "，",
  "pace.cancelled": "已取消：{of} 块中的 {n} 块已保留，运行可从那里继续",
  "time.s": "{s} 秒",
  "time.min": "{min} 分 {s} 秒",
  "time.h": "{h} 小时 {min} 分",
  more: "继续：在末尾增加块 (A)",
  "more.title": "在末尾增加多少块？",
  "more.bad": "请输入 1 至 {most} 的块数",
  "menu.more": "继续：在末尾增加块…",
};
