// @ts-check
/** The words of the editor. Where a language has none for something, English is shown. */
import { EN as HELP_EN, ZH as HELP_ZH } from "./help.mjs";

const EN = {
  "lane.w": "W", "lane.s": "S", "lane.a": "A", "lane.d": "D", "lane.yaw": "yaw", "lane.pitch": "pitch",
  "lane.idle": "run", "lane.jump": "jump", "lane.slide": "slide", "lane.turn_left": "turn L", "lane.turn_right": "turn R",
  "lane.side_left": "side L", "lane.side_right": "side R",
  "tool.paint": "Paint (P)", "tool.select": "Select, move and resize (V)", "tool.ramp": "Ramp: two clicks or a drag (T)", "tool.pan": "Pan (H)",
  "easing": "Easing of ramps (E): {name}", "ease.linear": "linear", "ease.smooth": "smooth", "ease.in": "in", "ease.out": "out",
  "snap": "Snap (N): {name}", "snap.frame": "frame", "snap.latent": "latent", "snap.block": "block", "snap.marker": "marker",
  "undo": "Undo (Ctrl+Z)", "redo": "Redo (Ctrl+Shift+Z)", "zoom.in": "Zoom in (+)", "zoom.out": "Zoom out (−)", "zoom.fit": "Show all (F)",
  "fork": "Fork a branch here (B)", "branch": "Branch: {name} (Shift+B lists all)", "flip": "Flip to {name} (X)",
  "branch.title": "Branches", "branch.main": "main", "branch.name": "branch {n}", "branch.rename": "Name of this branch", "branch.noname": "A branch needs a name",
  "branch.differs": "≠ {name} from block {block} on (frame {t})", "branch.same": "= {name}, input for input",
  "menu.fork": "Fork a branch here", "menu.rename": "Rename “{name}”…", "menu.unfork": "Delete “{name}”", "menu.pin": "Keep the state here (pin)", "menu.unpin": "Keep the state here no longer",
  "say.forked": "{name} forked from {from} at frame {t}, and in use", "say.flipped": "{name}, {difference}", "say.renamed": "The branch is called {name}",
  "say.unforked": "{name} deleted, {next} in use; undo brings it back", "say.nobranch": "There is no branch yet; B forks one", "say.branchfull": "{most} branches are the most; delete one first",
  "say.pinned": "The state at frame {t} will be kept", "say.unpinned": "The state at frame {t} will not be kept", "pin.name": "pin", "state.pin": "pinned",
  "state.empty": "empty: not made yet", "state.stale": "stale: will be made again", "state.cached": "cached", "state.resumable": "cached; a run can go on from its end at once",
  "state.pinned": "cached; a run can go on from its end at once, which is pinned", "state.making": "being made", "state.failed": "failed",
  "strip.block": "block {block} · frames {frames} · inputs {inputs}", "strip.shared": "shared with {name}", "strip.apart": "not shared with {name}",
  "play": "Play; records where a lane is armed", "stop": "Stop", "record": "Record from here (R)", "help": "Keys and gestures (?)",
  "tab.lanes": "Lanes", "tab.script": "Script", "length": "Length in blocks of 12 frames", "length.unit": "blocks",
  "menu.cut": "Cut", "menu.copy": "Copy as script", "menu.paste": "Paste", "menu.delete": "Clear", "menu.insert": "Insert a block here",
  "menu.remove": "Delete a block here", "menu.removeSelection": "Delete the selected frames", "menu.marker": "Name this frame…",
  "menu.in": "Loop from here", "menu.out": "Loop to here", "menu.noloop": "No loop", "menu.value": "Set a value…", "menu.all": "Select all",
  "say.cell": "{lane}, frame {t}, {state}", "say.range": "{lane}, frames {a} to {b}, {state}", "say.on": "on", "say.off": "off",
  "say.selection": "{n} {n:frame|frames} selected, {a} to {b}", "say.undo": "Undone", "say.redo": "Done again", "say.copied": "Copied {n} {n:frame|frames} as script",
  "say.pasted": "Pasted {n} {n:frame|frames} at {t}", "say.inserted": "{n} {n:frame|frames} inserted at {t}", "say.removed": "{n} {n:frame|frames} deleted at {t}",
  "say.marker": "Marker {name} at frame {t}", "say.unmarked": "Marker taken away", "say.loop": "Loop {a} to {b}", "say.noloop": "No loop",
  "say.tool": "Tool: {name}", "say.snap": "Snap: {name}", "say.recording": "Recording from frame {t}; Escape or the stop button ends it", "say.recorded": "Recorded {n} {n:frame|frames}",
  "say.playing": "Playing", "say.stopped": "Stopped at frame {t}", "say.armed": "{lane} armed for recording", "say.disarmed": "{lane} no longer armed",
  "say.length": "{blocks} {blocks:block|blocks}, {frames} frames, {seconds} s", "say.nothing": "Nothing selected", "say.converted": "Converted to {variant}",
  "say.full": "The timeline ends here; make it longer first", "say.longest": "The timeline is as long as it can be",
  "status": "frame {t} · {s} s · block {block}", "status.selection": "{n} selected", "status.end": "{frames} frames · {seconds} s",
  "warn.opposite": "Opposite keys are held together, which is untested", "warn.fast-camera": "Camera speed beyond ±0.3 is untested",
  "warn.sustained-up": "Looking up for long can make the picture go black",
  "value.title": "Value for {lane}, frames {a} to {b}", "value.hint": "{value} ≈ {degrees}° a frame", "value.bad": "Write a number such as 0.1 or 1.5deg",
  "value.range": "{value} is outside −1 to 1 (15deg)", "value.pitch": "This variant never uses pitch",
  "marker.title": "Name of frame {t} (empty: no marker)", "paste.bad": "That is no script: {message}", "paste.long": "The clipboard has {size} characters, and a script here has at most {most}. Nothing was changed; store a long recording as a timeline file.", "paste.blocked": "The clipboard could not be read: press Ctrl+V instead", "copy.blocked": "The clipboard could not be written: press {keys} instead",
  "problem.json": "The stored timeline cannot be read. It is kept as it is until you change it.", "problem.newer": "This timeline was made by a newer version.",
  "problem.retry": "Use this text", "problem.fresh": "Start an empty timeline", "problem.copy": "Copy the text",
  "variant.offer": "This timeline is for {from}; the node is set to {to}.", "variant.lost": "Would be lost: {what}", "variant.convert": "Convert it",
  "variant.keep": "Set the node back to {from}", "variant.fresh": "Start empty",
  "script.error": "The script has an error; the lanes show the last good one.", "script.hint": "One step a line: w 2b, w+left 1.5s, repeat 3 { … }",
  "script.lanes": "Editing a lane writes the script anew.",
  "script.toolong": "This timeline says more than a script can; it is shown here, and edited in the lanes.", "queue.refused": "Action Timeline: {message}", "live.label": "Timeline editor",
  "live.role": "timeline", "live.help": "Arrows move, Space toggles, question mark lists the keys", "pad": "Touch pad for recording",
  "help.title": "Keys and gestures", "help.close": "Close (Esc)", ...HELP_EN,
};

/** @type {Record<string, Partial<typeof EN>>} */
const OTHERS = {
  zh: {
    "lane.yaw": "偏航", "lane.pitch": "俯仰", "lane.idle": "奔跑", "lane.jump": "跳跃", "lane.slide": "滑铲", "lane.turn_left": "左转", "lane.turn_right": "右转",
    "lane.side_left": "左移", "lane.side_right": "右移",
    "tool.paint": "绘制 (P)", "tool.select": "选择、移动、调整 (V)", "tool.ramp": "渐变：点两次或拖动 (T)", "tool.pan": "平移 (H)",
    "easing": "渐变曲线 (E)：{name}", "ease.linear": "线性", "ease.smooth": "平滑", "ease.in": "缓入", "ease.out": "缓出",
    "snap": "吸附 (N)：{name}", "snap.frame": "帧", "snap.latent": "潜帧", "snap.block": "块", "snap.marker": "标记",
    "undo": "撤销 (Ctrl+Z)", "redo": "重做 (Ctrl+Shift+Z)", "zoom.in": "放大 (+)", "zoom.out": "缩小 (−)", "zoom.fit": "显示全部 (F)",
    "fork": "在此分叉 (B)", "branch": "分支：{name}（Shift+B 列出全部）", "flip": "切换到 {name} (X)",
    "branch.title": "分支", "branch.main": "主线", "branch.name": "分支 {n}", "branch.rename": "此分支的名称", "branch.noname": "分支需要名称",
    "branch.differs": "≠ {name}，自第 {block} 块起（第 {t} 帧）", "branch.same": "= {name}，输入完全相同",
    "menu.fork": "在此分叉", "menu.rename": "重命名“{name}”…", "menu.unfork": "删除“{name}”", "menu.pin": "保留此处状态（固定）", "menu.unpin": "不再保留此处状态",
    "say.forked": "{name} 于第 {t} 帧从 {from} 分出，正在使用", "say.flipped": "{name}，{difference}", "say.renamed": "此分支名为 {name}",
    "say.unforked": "{name} 已删除，正在使用 {next}；可撤销", "say.nobranch": "还没有分支；按 B 分叉", "say.branchfull": "最多 {most} 个分支；请先删除一个",
    "say.pinned": "将保留第 {t} 帧的状态", "say.unpinned": "不再保留第 {t} 帧的状态", "pin.name": "固定", "state.pin": "固定",
    "state.empty": "空：尚未生成", "state.stale": "过期：将重新生成", "state.cached": "已缓存", "state.resumable": "已缓存；可从其末尾立即继续",
    "state.pinned": "已缓存；可从其末尾立即继续，且已固定", "state.making": "正在生成", "state.failed": "失败",
    "strip.block": "块 {block} · 帧 {frames} · 输入 {inputs}", "strip.shared": "与 {name} 共有", "strip.apart": "与 {name} 不同",
    "play": "播放；已预备的轨道会录制", "stop": "停止", "record": "从此处录制 (R)", "help": "按键与手势 (?)",
    "tab.lanes": "轨道", "tab.script": "脚本", "length": "长度（每块 12 帧）", "length.unit": "块",
    "menu.cut": "剪切", "menu.copy": "复制为脚本", "menu.paste": "粘贴", "menu.delete": "清除", "menu.insert": "在此插入一块", "menu.remove": "在此删除一块",
    "menu.removeSelection": "删除所选帧", "menu.marker": "命名此帧…", "menu.in": "循环起点", "menu.out": "循环终点", "menu.noloop": "取消循环",
    "menu.value": "设置数值…", "menu.all": "全选",
    "say.cell": "{lane}，第 {t} 帧，{state}", "say.range": "{lane}，第 {a} 至 {b} 帧，{state}", "say.on": "开", "say.off": "关",
    "status": "第 {t} 帧 · {s} 秒 · 块 {block}", "status.selection": "已选 {n} 帧", "status.end": "{frames} 帧 · {seconds} 秒",
    "warn.opposite": "同时按住相反的键，未经测试", "warn.fast-camera": "镜头速度超过 ±0.3，未经测试", "warn.sustained-up": "长时间向上看可能使画面变黑",
    "problem.retry": "使用此文本", "problem.fresh": "新建空时间轴", "problem.copy": "复制文本",
    "variant.offer": "此时间轴用于 {from}，而节点设为 {to}。", "variant.lost": "将会丢失：{what}", "variant.convert": "转换", "variant.keep": "将节点设回 {from}", "variant.fresh": "从空白开始",
    "script.error": "脚本有误；轨道显示上一次正确的内容。", "script.hint": "每行一步：w 2b，w+left 1.5s，repeat 3 { … }", "script.lanes": "编辑轨道会重写脚本。",
    "script.toolong": "此时间线的内容超出脚本所能容纳的长度；此处仅供查看，请在轨道中编辑。",
    "say.selection": "已选 {n} 帧，{a} 至 {b}", "say.undo": "已撤销", "say.redo": "已重做", "say.copied": "已将 {n} 帧复制为脚本",
    "say.pasted": "已在第 {t} 帧粘贴 {n} 帧", "say.inserted": "已在第 {t} 帧插入 {n} 帧", "say.removed": "已在第 {t} 帧删除 {n} 帧",
    "say.marker": "第 {t} 帧的标记：{name}", "say.unmarked": "标记已移除", "say.loop": "循环 {a} 至 {b}", "say.noloop": "无循环",
    "say.tool": "工具：{name}", "say.snap": "吸附：{name}", "say.recording": "从第 {t} 帧开始录制；按 Esc 或停止键结束", "say.recorded": "已录制 {n} 帧",
    "say.playing": "正在播放", "say.stopped": "停在第 {t} 帧", "say.armed": "{lane} 已预备录制", "say.disarmed": "{lane} 不再录制",
    "say.length": "{blocks} 块，{frames} 帧，{seconds} 秒", "say.nothing": "未选择任何内容", "say.converted": "已转换为 {variant}",
    "say.full": "时间轴到此结束；请先加长", "say.longest": "时间轴已达最大长度",
    "value.title": "{lane} 的数值，第 {a} 至 {b} 帧", "value.hint": "{value} ≈ 每帧 {degrees}°", "value.bad": "请输入数字，例如 0.1 或 1.5deg",
    "value.range": "{value} 超出 −1 至 1（15deg）", "value.pitch": "此变体不使用俯仰",
    "marker.title": "第 {t} 帧的名称（留空则无标记）", "paste.bad": "这不是脚本：{message}",
    "paste.long": "剪贴板有 {size} 个字符，此处的脚本最多 {most} 个。未作任何更改；较长的录制请存为时间轴文件。",
    "paste.blocked": "无法读取剪贴板：请改按 Ctrl+V", "copy.blocked": "无法写入剪贴板：请改按 {keys}",
    "problem.json": "无法读取已保存的时间轴。在您更改之前，它会保持原样。", "problem.newer": "此时间轴由更新的版本生成。",
    "queue.refused": "动作时间线：{message}", "live.help": "方向键移动，空格切换，问号列出按键", "pad": "用于录制的触控板",
    "help.title": "按键与手势", "help.close": "关闭 (Esc)", ...HELP_ZH, "live.label": "时间轴编辑器", "live.role": "时间轴",
  },
};

/** @typedef {keyof typeof EN} Key */
/** @typedef {(key: string, values?: Record<string, string | number>) => string} Translate */

/**
 * The translator for a locale such as `zh`, `zh-TW` or `he`.
 * @param {string} locale @returns {Translate}
 */
export function translator(locale) {
  return translatorOf(EN, OTHERS, locale);
}

/**
 * The translator of any words: English, and other languages that lack some of it. `{n}` is a value, `{n:block|blocks}` a
 * word for one and for another number of it.
 * @param {Record<string, string>} english @param {Record<string, Record<string, string | undefined>>} others @param {string} locale
 * @returns {Translate}
 */
export function translatorOf(english, others, locale) {
  const words = { ...english, ...(others[locale.split("-")[0]] ?? {}) };
  return (key, values = {}) => {
    const text = words[key] ?? key;
    return text.replace(/\{(\w+)(?::(\w+)\|(\w+))?\}/g, (whole, name, one, many) => {
      if (!(name in values)) return whole;
      return one ? (Number(values[name]) === 1 ? one : many) : String(values[name]);
    });
  };
}

/** Keys that a language has and English lacks, or the other way round, for a test. */
export const unknownKeys = () => differences(EN, OTHERS);

/**
 * Where languages and English differ in what they have words for. Names of keys, such as W, need no translation.
 * @param {Record<string, string>} english @param {Record<string, Record<string, string | undefined>>} others
 */
export function differences(english, others) {
  const needed = Object.keys(english).filter((key) => english[key].length > 1);
  return Object.values(others).flatMap((words) => [...Object.keys(words).filter((key) => !(key in english)), ...needed.filter((key) => !(key in words))]);
}
