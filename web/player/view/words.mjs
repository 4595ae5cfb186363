// @ts-check
/** The words of the player. Where a language has none for something, English is shown. */
import { differences, translatorOf } from "../../timeline/parts/i18n.mjs";

const EN = {
  "lane.w": "W", "lane.s": "S", "lane.a": "A", "lane.d": "D", "lane.jump": "jump", "lane.slide": "slide", "lane.turn_left": "turn L",
  "lane.turn_right": "turn R", "lane.side_left": "side L", "lane.side_right": "side R",
  play: "Play", pause: "Pause (Esc)", stop: "Stop: end the session and keep the take", record: "Record: mark this part of the take",
  rewind: "Back one block (Backspace)", reset: "Back to the start", fullscreen: "Fullscreen", popout: "Pop out", keys: "Keys…", pad: "Touch pad",
  latch: "Tap to hold", hud: "Show the keys", take: "Save the take", control: "Take over",
  mode: "How inputs are sampled. Responsive: what is held when a block starts. Faithful: your last 12 frames, one block late.",
  "mode.responsive": "responsive", "mode.faithful": "faithful",
  "state.connecting": "Connecting…", "state.ready": "Click to play", "state.playing": "Playing", "state.paused": "Paused: click to go on",
  "state.finished": "The session has ended", "state.away": "The connection is lost; trying again…",
  "state.refused": "This address has no session any more, or the token in it is wrong", "state.watching": "You are watching; someone else plays",
  "reason.lost": "nobody was playing", "reason.idle": "no key was touched for a while", "reason.end": "the last block was played",
  "reason.stopped": "stopped", "reason.cancelled": "cancelled", "reason.hidden": "the page was hidden",
  "lock.refused": "The mouse could not be caught: click again, or drag to look",
  help: "{keys} to move, mouse or arrow keys to look. Esc pauses.", "help.plain": "{keys} to move. Esc pauses.",
  "busy.first": "Computing the first block…", "busy.next": "Computing the next block…", "busy.pause": "Pausing after this block…", "busy.stop": "Ending after this block…",
  "take.where": "Where the session was started says where the take is; “Save the take” below gives you a copy.",
  "pad.unknown": "The browser does not know the buttons of this gamepad: {name}", "keys.session": "Your keys are for this visit only: the browser stores nothing here.",
  "queue.held": "Live play holds the queue until it ends",
  "read.latency": "input → picture {ms}", "read.generation": "block {ms}", "read.decode": "decode {ms}", "read.transport": "transport {ms}",
  "read.rate": "{fps} frames/s", "read.blocks": "{blocks} {blocks:block|blocks} · {seconds} s", "read.left": "{blocks} {blocks:block|blocks} left", "read.dropped": "{n} dropped",
  "keys.title": "Press a key for {lane}", "keys.reset": "Keys as they were", "keys.close": "Done", "keys.refused": "{code} cannot be used",
  "say.key": "{lane} held", "say.rewound": "Back at block {block}", "say.recording": "Recording", "say.recorded": "Recording ends", label: "Live play",
  "node.rest": "Queue the graph to play", "node.landed": "In the timeline: {name}",
  share: "Copy a link for others to watch, or to take over", "say.shared": "The link is in the clipboard",
};

/** @type {Record<string, Partial<typeof EN>>} */
const OTHERS = {
  zh: {
    "lane.jump": "跳跃", "lane.slide": "滑铲", "lane.turn_left": "左转", "lane.turn_right": "右转", "lane.side_left": "左移", "lane.side_right": "右移",
    play: "开始", pause: "暂停 (Esc)", stop: "停止：结束并保留录制", record: "录制：标记这一段", rewind: "后退一块 (Backspace)", reset: "回到起点",
    fullscreen: "全屏", popout: "弹出", keys: "按键…", pad: "触控板", latch: "点按保持", hud: "显示按键", take: "保存录制", control: "接管",
    mode: "输入采样方式。灵敏：块开始时按住的键。忠实：最近 12 帧的输入，晚一块。", "mode.responsive": "灵敏", "mode.faithful": "忠实",
    "state.connecting": "连接中…", "state.ready": "点击开始", "state.playing": "进行中", "state.paused": "已暂停：点击继续", "state.finished": "会话已结束",
    "state.away": "连接中断，正在重试…", "state.refused": "此地址已没有会话，或令牌有误", "state.watching": "您正在观看，由他人操作",
    "reason.lost": "无人操作", "reason.idle": "长时间没有输入", "reason.end": "已到最后一块", "reason.stopped": "已停止", "reason.cancelled": "已取消",
    "reason.hidden": "页面被隐藏", "lock.refused": "无法捕获鼠标：请再次点击，或拖动以转动视角",
    help: "{keys} 移动，鼠标或方向键转动视角，Esc 暂停。", "help.plain": "{keys} 移动，Esc 暂停。", "queue.held": "实时游玩结束前会占用队列",
    "read.latency": "输入 → 画面 {ms}", "read.generation": "生成 {ms}", "read.decode": "解码 {ms}", "read.transport": "传输 {ms}", "read.rate": "{fps} 帧/秒",
    "read.blocks": "{blocks} 块 · {seconds} 秒", "read.left": "还剩 {blocks} 块", "read.dropped": "丢弃 {n}",
    "keys.title": "请按下 {lane} 的按键", "keys.reset": "恢复默认按键", "keys.close": "完成", "keys.refused": "{code} 不能使用", label: "实时游玩",
    "busy.first": "正在计算第一块…", "busy.next": "正在计算下一块…", "busy.pause": "此块完成后暂停…", "busy.stop": "此块完成后结束…",
    "take.where": "启动会话的地方会说明录制保存在哪里；下方的“保存录制”可另存一份。",
    "pad.unknown": "浏览器不认识此手柄的按键：{name}", "keys.session": "按键仅在本次访问有效：浏览器不允许在此存储。",
    "say.key": "按住 {lane}", "say.rewound": "已回到第 {block} 块", "say.recording": "正在录制", "say.recorded": "录制结束",
    "node.rest": "运行工作流以开始游玩", "node.landed": "已放入时间轴：{name}",
    share: "复制链接，供他人观看或接管", "say.shared": "链接已复制",
  },
};

/** @param {string} locale */
export function translator(locale) {
  return translatorOf(EN, OTHERS, locale);
}

/** Keys that a language has and English lacks, or the other way round, for a test. */
export const unknownKeys = () => differences(EN, OTHERS);
