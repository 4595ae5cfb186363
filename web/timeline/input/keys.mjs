// @ts-check
/** The keyboard of the lanes. What is not listed here is left to the page: Ctrl+Enter still queues. */
import { FPS, blockOfInput, firstInputOfBlock } from "../../model/variants.mjs";
import { rerollHere } from "../editing/seeds.mjs";
import * as edit from "../../model/edit.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */
/**
 * @typedef {object} KeyHost what keys can ask of the page
 * @property {() => void} askValue
 * @property {() => void} askMarker
 * @property {() => void} askSeed
 * @property {() => void} help
 * @property {() => void} play
 * @property {() => void} record
 * @property {() => void} recordMenu
 * @property {() => void} branches
 * @property {() => void} more
 * @property {() => void} presets
 * @property {() => void} room
 * @property {() => void} files
 * @property {() => void} askPlace
 * @property {() => void} changes
 * @property {import("../pictures/desk.mjs").PictureDesk} pictures
 * @property {() => boolean} escape whether there was something to close
 * @property {() => void} leave
 */

const WIPE_STEP = 0.05; // of the picture's width

/** @param {Editor} editor @param {number} by in blocks @param {number} after rows after the cursor to count from */
function byBlock(editor, by, after) {
  const block = blockOfInput(editor.cursor.t + after);
  const start = firstInputOfBlock(block);
  return by > 0
    ? firstInputOfBlock(block + 1)
    : editor.cursor.t > start
      ? start
      : firstInputOfBlock(Math.max(0, block - 1));
}

/** @param {Editor} editor @param {KeyboardEvent} event */
function move(editor, event) {
  const sign = event.key === "ArrowRight" ? 1 : -1;
  const control = event.ctrlKey || event.metaKey;
  const extend = [event.shiftKey, event.altKey, control].filter(Boolean).length > 1;
  const block = event.shiftKey && !event.altKey;
  const last = extend && block && sign > 0 ? 1 : 0; // a selection ends with the last row of a block
  const t = block ? byBlock(editor, sign, last) : editor.cursor.t + sign * (control ? FPS : 1);
  editor.moveTo(t - last, editor.cursor.lane, extend);
}

/** @param {Editor} editor @param {KeyboardEvent} event */
function moveLane(editor, event) {
  const sign = event.key === "ArrowDown" ? 1 : -1;
  if (event.altKey) {
    if (event.shiftKey) editor.raiseEnd(-sign * 0.01);
    else nudge(editor, -sign * 0.01);
    return;
  }
  const ids = editor.lanes.map((lane) => lane.id);
  const i = Math.max(0, Math.min(ids.length - 1, ids.indexOf(editor.cursor.lane) + sign));
  editor.moveTo(editor.cursor.t, ids[i], event.shiftKey);
}

/**
 * Change the camera values of the target, or of the ramp that the cursor is in.
 * @param {Editor} editor @param {number} by
 */
function nudge(editor, by) {
  const { a, b, lanes } = editor.target;
  const axes = lanes.filter(edit.isAxis);
  if (!axes.length) return;
  const rows = (/** @type {string} */ axis) => {
    const ramp = editor.selection ? null : edit.rampAt(editor.doc, axis, a);
    return ramp ? [ramp[0], ramp[0] + /** @type {number} */ (ramp[3])] : [a, b];
  };
  editor.apply((doc) => axes.reduce((now, axis) => edit.raiseAxis(now, axis, rows(axis)[0], rows(axis)[1], by), doc));
  editor.sayRange(axes[0], a, b);
}

/** @param {Editor} editor @param {KeyHost} host */
function act(editor, host) {
  if (editor.target.lanes.every(edit.isAxis)) host.askValue();
  else editor.toggle();
}

/** @param {Editor} editor @param {number} factor */
function zoom(editor, factor) {
  editor.view.zoom(editor.doc, factor, editor.view.x(editor.cursor.t));
  editor.emit("view");
}

/** @param {Editor} editor */
function fit(editor) {
  editor.view.fit(editor.doc);
  editor.emit("view");
}

/** @typedef {(editor: Editor, event: KeyboardEvent, host: KeyHost) => void} Command */

/** By name, with modifiers in the order Ctrl+Alt+Shift. @type {Record<string, Command>} */
const COMMANDS = {
  "Ctrl+z": (e) => e.undo(),
  "Ctrl+Shift+z": (e) => e.redo(),
  "Ctrl+y": (e) => e.redo(),
  "Ctrl+a": (e) => e.select(0, e.doc.length),
  "Ctrl+d": (e) => e.repeat(),
  Delete: (e) => e.clear(),
  Backspace: (e) => e.clear(),
  "Shift+Delete": (e) => e.remove(),
  Insert: (e) => e.insert(),
  " ": (e, _, host) => act(e, host),
  Enter: (e, _, host) => act(e, host),
  Home: (e) => e.moveTo(0),
  End: (e) => e.moveTo(e.doc.length - 1),
  PageUp: (e) => e.jump(-1),
  PageDown: (e) => e.jump(1),
  v: (e) => e.setTool("select"),
  p: (e) => e.setTool("paint"),
  t: (e) => e.setTool("ramp"),
  h: (e) => e.setTool("pan"),
  n: (e) => e.nextSnap(),
  e: (e) => e.nextEasing(),
  i: (e) => e.loop("in"),
  o: (e) => e.loop("out"),
  l: (e) => e.loop("toggle"),
  m: (_, __, host) => host.askMarker(),
  "Shift+m": (e) => e.pin(),
  b: (e) => e.fork(),
  s: (e) => rerollHere(e),
  "Shift+s": (_, __, host) => host.askSeed(),
  x: (e) => e.flip(),
  "Shift+b": (_, __, host) => host.branches(),
  f: fit,
  g: (_, __, host) => host.pictures.toggle(),
  "Shift+g": (_, __, host) => host.pictures.toggleFilm(),
  c: (_, __, host) => host.pictures.compare(),
  z: (_, __, host) => host.room(),
  "Shift+o": (_, __, host) => host.files(),
  "/": (_, __, host) => host.presets(),
  u: (e) => e.nextUnit(),
  j: (_, __, host) => host.askPlace(),
  "Shift+u": (_, __, host) => host.changes(),
  a: (_, __, host) => host.more(),
  ",": (_, __, host) => host.pictures.setWipe(host.pictures.wipe - WIPE_STEP),
  ".": (_, __, host) => host.pictures.setWipe(host.pictures.wipe + WIPE_STEP),
  r: (_, __, host) => host.record(),
  "Shift+r": (_, __, host) => host.recordMenu(),
  k: (_, __, host) => host.play(),
  "?": (_, __, host) => host.help(),
  "+": (e) => zoom(e, 1.4),
  "=": (e) => zoom(e, 1.4),
  "-": (e) => zoom(e, 1 / 1.4),
};

/** Keys that may be held down to repeat. */
const REPEATS = new Set([
  "ArrowLeft",
  "ArrowRight",
  "ArrowUp",
  "ArrowDown",
  "PageUp",
  "PageDown",
  "+",
  "=",
  "-",
  ",",
  ".",
  "z",
  "y",
]);

/** @param {KeyboardEvent} event */
function nameOf(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const symbol = event.key.length === 1 && key === event.key.toUpperCase() && !/[a-z0-9 ]/i.test(key);
  const control = event.ctrlKey || event.metaKey;
  return `${control ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey && !symbol ? "Shift+" : ""}${key}`;
}

/**
 * Act on a key; what is ours goes no further.
 * @param {Editor} editor @param {KeyboardEvent} event @param {KeyHost} host @returns {boolean} whether it was ours
 */
export function handleKey(editor, event, host) {
  const control = event.ctrlKey || event.metaKey;
  // What the key says comes first: on a French keyboard minus is on the key of 6, and digits need Shift.
  const said = COMMANDS[nameOf(event)];
  const digit =
    /^[1-9]$/.exec(event.key)?.[0] ?? (event.shiftKey ? null : /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1]);
  /** @type {Command | null} */
  let command = null;
  if (event.key === "Escape") command = () => host.escape() || host.leave();
  else if (/^Arrow(Left|Right)$/.test(event.key)) command = move;
  else if (!control && /^Arrow(Up|Down)$/.test(event.key)) command = moveLane;
  else if (said) command = said;
  else if (digit && !control && !event.altKey) {
    const lane = editor.lanes[Number(digit) - 1];
    command = lane ? (e) => e.toggle(lane.id) : null;
  }
  if (!command) return false;
  event.preventDefault();
  event.stopPropagation();
  if (!event.repeat || REPEATS.has(event.key)) command(editor, event, host);
  // With "run on change" the frontend looks at the event once more at the next frame, whatever has the focus, and would
  // undo the graph as well; by then there is no key in it.
  if (control) Object.defineProperty(event, "key", { value: "" });
  return true;
}
