// @ts-check
/** What one step of undo changed, and where, in words. */
import { firstDifference } from "../../model/compare.mjs";
import { activeSeeds, activeTracks } from "../../model/document.mjs";
import { blockOfInput, blocksOfFrames, secondsOf } from "../../model/variants.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../parts/i18n.mjs").Translate} Translate */

/**
 * @param {Timeline} before @param {Timeline} after @param {Translate} words
 * @param {{lane: (id: string) => string, branch: (doc: Timeline) => string}} names
 * @returns {string}
 */
export function changeText(before, after, words, names) {
  if (before.variant !== after.variant) return words("change.variant");
  if (before.branches.length < after.branches.length) return words("change.fork", { name: names.branch(after) });
  if (before.branches.length > after.branches.length) return words("change.unfork");
  if (before.active !== after.active) return words("change.flip", { name: names.branch(after) });
  const lanes = changedLanes(before, after);
  const row = firstDifference(before, after);
  if (before.length !== after.length && row === Infinity)
    return words("change.length", { n: blocksOfFrames(after.length) });
  const seeds = [before, after].map((doc) => JSON.stringify(activeSeeds(doc)));
  if (!lanes.length && seeds[0] !== seeds[1]) return words("change.seed", { block: blockOfInput(row) });
  if (!lanes.length) return words(before.markers === after.markers ? "change.other" : "change.markers");
  const t = row === Infinity ? Math.min(before.length, after.length) : row;
  const what = lanes.length > 3 ? words("change.lanes", { n: lanes.length }) : lanes.map(names.lane).join(" ");
  return words("change.at", { what, t, s: secondsOf(t).toFixed(2) });
}

/** @param {Timeline} before @param {Timeline} after */
function changedLanes(before, after) {
  const [old, now] = [activeTracks(before), activeTracks(after)];
  return Object.keys(now).filter((lane) => JSON.stringify(old[lane] ?? []) !== JSON.stringify(now[lane]));
}

/** @type {Record<string, string>} */
export const EN = {
  "change.variant": "another variant",
  "change.fork": "forked {name}",
  "change.unfork": "a branch deleted",
  "change.flip": "flip to {name}",
  "change.length": "length {n} {n:block|blocks}",
  "change.markers": "markers",
  "change.seed": "seed from block {block} on",
  "change.other": "loop, script or name",
  "change.lanes": "{n} lanes",
  "change.at": "{what} · frame {t} · {s} s",
  "change.first": "as it was opened",
  "change.title": "Steps of undo",
  "menu.changes": "Steps of undo…",
  "menu.go": "Go to or select…",
  "go.title": "Go to 36, 1.5 s or b3; select 1 s - 2 s or b3 - b5",
  "go.bad": "Write a frame such as 36, a time such as 1.5 s, a block from b0 to b{last}, or two with a dash",
  "ruler.frames": "Ruler in frames",
  "ruler.seconds": "Ruler in seconds",
  "ruler.blocks": "Ruler in blocks",
};

/** @type {Record<string, string>} */
export const ZH = {
  "change.variant": "更换变体",
  "change.fork": "分叉 {name}",
  "change.unfork": "删除分支",
  "change.flip": "切换到 {name}",
  "change.length": "长度 {n} 块",
  "change.markers": "标记",
  "change.seed": "自第 {block} 块起的种子",
  "change.other": "循环、脚本或名称",
  "change.lanes": "{n} 条轨道",
  "change.at": "{what} · 第 {t} 帧 · {s} 秒",
  "change.first": "打开时的状态",
  "change.title": "撤销步骤",
  "menu.changes": "撤销步骤…",
  "menu.go": "跳转或选择…",
  "go.title": "跳转到 36、1.5 s 或 b3；选择 1 s - 2 s 或 b3 - b5",
  "go.bad": "请输入帧（如 36）、时间（如 1.5 s）、b0 至 b{last} 的块，或用短横线连接两者",
  "ruler.frames": "标尺以帧为单位",
  "ruler.seconds": "标尺以秒为单位",
  "ruler.blocks": "标尺以块为单位",
};
