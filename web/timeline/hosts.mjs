// @ts-check
/** What the parts of a timeline may ask of it: each gets what it needs, and no more. */
import { codeOfKey } from "./input/record.mjs";
import { FileMenu } from "./menus/files.mjs";
import { PresetMenu } from "./menus/preset_menu.mjs";
import { RecordMenu } from "./menus/record_menu.mjs";

/** @typedef {import("./widget.mjs").TimelineWidget} Widget */
/** @typedef {import("./input/gestures.mjs").Point} Point */

/** @param {Widget} widget */
export function focusHost(widget) {
  return {
    root: widget.root,
    keydown: (/** @type {KeyboardEvent} */ event) => widget.keydown(event),
    keyup: (/** @type {KeyboardEvent} */ event) => widget.transport.take?.up(codeOfKey(event)),
    changed: (/** @type {boolean} */ on) => widget.focusChanged(on),
    copy: () => widget.editor.copy(),
    cut: () => widget.editor.clear(),
    paste: (/** @type {string} */ text) => widget.paste(text),
  };
}

/** @param {Widget} widget @returns {import("./parts/toolbar.mjs").BarHost} */
export function barHost(widget) {
  return {
    play: () => widget.play(false, false),
    record: (touch) => widget.play(true, touch),
    help: () => widget.popups.help(),
    tab: (tab) => widget.showTab(tab),
    shown: () => widget.tab,
    recording: () => widget.transport.take !== null,
    branches: (below) => widget.showBranches(below.offsetLeft),
    recordMenu: (below) => widget.menus.recording.open(below.offsetLeft, 0),
    room: () => widget.room.toggle(),
    files: (below) => widget.menus.files.open(below.offsetLeft, 0),
    more: (below) => widget.windows.askMore(below.offsetLeft, 0),
    pictures: (below) => widget.windows.pictures(below.offsetLeft),
  };
}

/** @param {Widget} widget @returns {import("./input/pointer.mjs").PointerHost} */
export function pointerHost(widget) {
  return {
    focused: () => widget.room.isOpen || widget.root.contains(document.activeElement),
    focus: () => (widget.popups.close(false), widget.proxy.focus()),
    recording: () => widget.transport.take !== null,
    look: (dx, dy) => widget.transport.take?.move(dx, dy),
    menu: (p) => widget.windows.menu(p),
    open: (p) => widget.windows.openAt(p),
    wheelToGraph: widget.host.wheelToGraph,
    pointerToGraph: widget.host.pointerToGraph,
    pointed: (t) => widget.pictures.point(t),
  };
}

/** @param {Widget} widget @returns {import("./input/keys.mjs").KeyHost} */
export function keyHost(widget) {
  const { editor, windows } = widget;
  return {
    askValue: () => windows.askValue(editor.cursor.t, editor.target.lanes[0]),
    askMarker: () => windows.askMarker(editor.cursor.t),
    askSeed: () => windows.askSeed(editor.cursor.t),
    help: () => widget.popups.help(),
    play: () => widget.play(false, false),
    record: () => widget.play(true, false),
    recordMenu: () => widget.menus.recording.open(editor.view.head, 0),
    branches: () => widget.showBranches(editor.view.head),
    room: () => widget.room.toggle(),
    files: () => widget.menus.files.open(editor.view.head, 0),
    presets: () => widget.menus.presets.open(editor.view.head, 0),
    askPlace: () => windows.askPlace(editor.view.head, 0),
    changes: () => windows.changes(editor.view.head, 0),
    more: () => windows.askMore(editor.view.width, 0),
    pictures: widget.pictures,
    escape: () => widget.escape(),
    leave: () => widget.proxy.blur(),
  };
}

/** The menus that do more than list what the editor can do. @param {Widget} widget */
export function menusOf(widget) {
  const { editor, popups, words, host } = widget;
  const tell = (/** @type {string} */ message) => widget.tell(message);
  return {
    presets: new PresetMenu(editor, popups, words, {
      tell,
      shelf: host.presets,
      paste: (text) => widget.paste(text),
      place: (event) => widget.rowUnder(event),
    }),
    files: new FileMenu(editor, popups, words, {
      tell,
      server: host.files,
      desk: widget.pictures,
      complain: (message) => widget.complain(message),
      sent: () => widget.sent,
      takes: (text) => widget.paste(text),
    }),
    recording: new RecordMenu(editor, popups, words, host.recording),
  };
}
