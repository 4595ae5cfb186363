// @ts-check
/** The state of one timeline editor and the commands on it. Knows nothing of the page; drawing and input are elsewhere. */
import { FPS, VARIANTS, blockOfInput, blocksOfFrames, framesOfBlocks, lanesOf } from "./variants.mjs";
import { DocumentError, emptyDocument, readDocument, writeDocument } from "./document.mjs";
import { blockStates } from "./compare.mjs";
import { History } from "./history.mjs";
import { SNAPS, View } from "./view.mjs";
import { ScriptError, parseScript, printScript } from "../script/script.mjs";
import { copyScript, pasteText, repeatSelection } from "./clipboard.mjs";
import { warningsOf } from "./warnings.mjs";
import * as edit from "./edit.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */
/** @typedef {{t: number, lane: string}} Cursor */
/** @typedef {{a: number, b: number, lanes: string[]}} Selection */
/** @typedef {{doc: Timeline, cursor: Cursor, selection: Selection | null}} Moment */
/** @typedef {{kind: "json"|"schema"|"newer", message: string, text: string}} Problem */
/** @typedef {{text: string, variant: string, script: import("../script/script.mjs").Script | null, error: ScriptError | null, warnings: import("../script/lexer.mjs").Note[]}} Read */

export const TOOLS = ["paint", "select", "ramp", "pan"];
export const EASINGS = ["linear", "smooth", "in", "out"];

export class Editor {
  /** @param {string} variant @param {import("./i18n.mjs").Translate} say */
  constructor(variant, say) {
    this.words = say;
    this.view = new View();
    this.tool = "paint";
    this.snap = "frame";
    this.easing = "linear";
    /** @type {Set<string>} */
    this.armed = new Set();
    /** @type {number | null} */
    this.playhead = null;
    /** @type {Problem | null} */
    this.problem = null;
    /** The timeline of the last finished run. @type {Timeline | null} */
    this.rendered = null;
    /** A variant the node asks for and the timeline is not made for. @type {string | null} */
    this.wanted = null;
    /** @type {{axis: string, a: number, v0: number, b: number, v1: number} | null} */
    this.ramp = null;
    /** The script that was written last. @type {{doc: Timeline, text: string} | null} */
    this.printed = null;
    /** The script that was read last. @type {Read | null} */
    this.read = null;
    /** @type {((what: "edit"|"view"|"say", text?: string) => void)[]} */
    this.listeners = [];
    this.doc = emptyDocument(variant);
    /** @type {Cursor} */
    this.cursor = { t: 0, lane: this.lanes[0].id };
    /** @type {Selection | null} */
    this.selection = null;
    /** @type {Cursor | null} where a range begins that Shift ends */
    this.anchor = null;
    /** @type {History<Moment>} */
    this.history = new History(this.moment());
    this.cached = { doc: /** @type {Timeline | null} */ (null), text: "" };
  }

  get variant() {
    return VARIANTS[this.doc.variant];
  }

  get lanes() {
    return lanesOf(this.variant);
  }

  /** Whether lanes can be edited: not while a timeline that cannot be read is shown. */
  get editable() {
    return this.problem === null;
  }

  /** @returns {Moment} */
  moment() {
    return { doc: this.doc, cursor: this.cursor, selection: this.selection };
  }

  /** @param {"edit"|"view"|"say"} what @param {string} [text] */
  emit(what, text) {
    for (const listener of this.listeners) listener(what, text);
  }

  /** Tell a screen reader. @param {string} key @param {Record<string, string | number>} [values] */
  say(key, values) {
    this.emit("say", this.words(key, values));
  }

  /** @param {string} id */
  nameOf(id) {
    return this.words(`lane.${id}`);
  }

  // ---- the value

  /** The widget's value. What could not be read comes back as it was. */
  get text() {
    if (this.problem) return this.problem.text;
    if (this.cached.doc !== this.doc) this.cached = { doc: this.doc, text: writeDocument(this.doc) };
    return this.cached.text;
  }

  /** Take a value: a document, a script, or nothing. @param {string} text */
  load(text) {
    this.problem = null;
    if (!text.trim()) this.doc = emptyDocument(this.wanted ?? this.doc.variant);
    else {
      try {
        this.doc = /^\s*[{["\d-]/.test(text) && !/^\s*\d+\s*(x|[a-z])/i.test(text) ? readDocument(text) : parseScript(text).document;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        this.problem = { kind: error instanceof DocumentError ? error.kind : "schema", message: error.message, text };
      }
    }
    this.restart();
  }

  /** Begin anew with `doc` as it is: no history, cursor at the start. */
  restart() {
    this.cursor = { t: 0, lane: this.lanes[0].id };
    this.selection = this.anchor = this.ramp = null;
    this.armed = new Set([...this.armed].filter((lane) => this.lanes.some((l) => l.id === lane)));
    if (this.wanted === this.doc.variant) this.wanted = null;
    this.history.reset(this.moment());
    this.view.clampScroll(this.doc);
    this.emit("edit");
  }

  /** Replace a timeline that could not be read by an empty one; only ever on the user's word. */
  startEmpty() {
    this.problem = null;
    this.doc = emptyDocument(this.wanted ?? this.doc.variant);
    this.restart();
  }

  /** What there is to say about a script. @param {string} text @returns {Read} */
  readScript(text) {
    const { variant } = this.doc;
    if (this.read?.text === text && this.read.variant === variant) return this.read;
    try {
      const script = parseScript(text, variant);
      this.read = { text, variant, script, error: null, warnings: script.warnings };
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      this.read = { text, variant, script: null, error, warnings: [] };
    }
    return this.read;
  }

  /** The error of the script that the document carries, if it has one. */
  get scriptError() {
    const { source } = this.doc;
    return source?.kind === "script" ? this.readScript(source.text).error : null;
  }

  /** Take the text of the script tab; the lanes follow as soon as it can be read. `commit` makes it a step of undo. @param {string} text */
  setScript(text) {
    const source = { kind: "script", text };
    const { script } = this.readScript(text);
    if (!script) {
      this.preview({ ...this.doc, source });
      return;
    }
    const { markers, tracks, length } = script.document;
    const loop = this.doc.loop && this.doc.loop[1] <= length ? this.doc.loop : null;
    const branches = this.doc.branches.length ? { branches: [], active: null } : {};
    this.selection = this.anchor = null;
    this.cursor = { ...this.cursor, t: Math.min(this.cursor.t, length - 1) };
    this.preview({ ...this.doc, tracks, markers, length, source, loop, ...branches });
  }

  /** The script of the whole timeline: the user's own text while it is up to date. */
  get script() {
    if (this.doc.source?.kind === "script") return this.doc.source.text;
    if (this.printed?.doc !== this.doc) this.printed = { doc: this.doc, text: printScript(this.doc) };
    return this.printed.text;
  }

  /** @param {string} variant of the node @returns {boolean} whether the timeline fits it now */
  want(variant) {
    if (!Object.hasOwn(VARIANTS, variant) || this.problem) return false;
    this.wanted = variant === this.doc.variant ? null : variant;
    if (!this.wanted) {
      this.emit("view");
      return true;
    }
    const { doc, lost } = edit.convertVariant(this.doc, variant);
    if (lost.length || this.scriptError) {
      this.emit("view");
      return false;
    }
    this.convert(doc);
    return true;
  }

  /** Take a timeline of another variant. @param {Timeline} doc */
  convert(doc) {
    this.wanted = null;
    this.selection = this.anchor = null;
    this.armed = new Set();
    this.doc = doc;
    this.cursor = { t: Math.min(this.cursor.t, doc.length - 1), lane: this.lanes[0].id };
    this.commit();
    this.say("say.converted", { variant: this.variant.title });
  }

  /** How each block stands to the last finished run. */
  get blocks() {
    return blockStates(this.doc, this.rendered);
  }

  get warnings() {
    return warningsOf(this.doc);
  }

  // ---- edits

  /** Show a document while a gesture goes on; `commit` makes it one step of undo. @param {Timeline} doc */
  preview(doc) {
    if (!this.editable) return;
    this.doc = doc;
    this.emit("view");
  }

  /** Make the present document a step of undo, if it changed. */
  commit() {
    if (this.history.now.doc === this.doc) {
      this.emit("view");
      return;
    }
    this.history.push(this.moment());
    this.emit("edit");
  }

  /** @param {(doc: Timeline) => Timeline} change */
  apply(change) {
    if (!this.editable) return;
    this.doc = change(this.doc);
    this.cursor = { ...this.cursor, t: Math.min(this.cursor.t, this.doc.length - 1) };
    if (this.selection) this.selection = this.clip(this.selection);
    this.commit();
  }

  /** @param {Selection} selection @returns {Selection | null} */
  clip({ a, b, lanes }) {
    return a < this.doc.length ? { a, b: Math.min(b, this.doc.length), lanes } : null;
  }

  /** @param {boolean} back */
  travel(back) {
    if (!this.editable) return;
    if (back ? !this.history.canUndo : !this.history.canRedo) return;
    const moment = back ? this.history.undo() : this.history.redo();
    const changedVariant = moment.doc.variant !== this.doc.variant;
    this.doc = moment.doc;
    this.cursor = { t: Math.min(moment.cursor.t, moment.doc.length - 1), lane: moment.cursor.lane };
    if (!this.lanes.some((lane) => lane.id === this.cursor.lane)) this.cursor.lane = this.lanes[0].id;
    this.selection = changedVariant ? null : moment.selection && this.clip(moment.selection);
    this.emit("edit");
    this.say(back ? "say.undo" : "say.redo");
  }

  undo() {
    this.travel(true);
  }

  redo() {
    this.travel(false);
  }

  // ---- cursor and selection

  /** @param {number} t @param {string} [lane] @param {boolean} [extend] */
  moveTo(t, lane = this.cursor.lane, extend = false) {
    const from = this.anchor ?? this.cursor;
    this.cursor = { t: Math.max(0, Math.min(this.doc.length - 1, t)), lane };
    if (extend) {
      this.anchor = from;
      this.selectBetween(from, this.cursor);
    } else {
      this.anchor = null;
      this.selection = null;
    }
    this.view.reveal(this.doc, this.cursor.t);
    this.emit("view");
    if (!extend) this.sayCell();
  }

  /** @param {Cursor} one @param {Cursor} other */
  selectBetween(one, other) {
    const ids = this.lanes.map((lane) => lane.id);
    const [i, j] = [ids.indexOf(one.lane), ids.indexOf(other.lane)].sort((x, y) => x - y);
    this.select(Math.min(one.t, other.t), Math.max(one.t, other.t) + 1, ids.slice(Math.max(0, i), j + 1));
  }

  /** @param {number} a @param {number} b @param {string[]} [lanes] */
  select(a, b, lanes = this.lanes.map((lane) => lane.id)) {
    this.selection = b > a ? { a: Math.max(0, a), b: Math.min(this.doc.length, b), lanes } : null;
    this.emit("view");
    if (this.selection) this.say("say.selection", { n: b - a, a, b: b - 1 });
  }

  /** The cell under the cursor, for a screen reader. */
  sayCell() {
    const { t, lane } = this.cursor;
    const on = edit.isOn(this.doc, lane, t);
    const state = edit.isAxis(lane) ? this.valueText(lane, t) : this.words(on ? "say.on" : "say.off");
    this.say("say.cell", { lane: this.nameOf(lane), t, state });
  }

  /** @param {string} axis @param {number} t */
  valueText(axis, t) {
    const [entry] = edit.takeRange(this.doc, [axis], t, t + 1)[axis];
    return String(Number((entry?.[1] ?? 0).toFixed(3)));
  }

  /** Where a command acts: the selection, or the cell under the cursor. @returns {Selection} */
  get target() {
    return this.selection ?? { a: this.cursor.t, b: this.cursor.t + 1, lanes: [this.cursor.lane] };
  }

  /** Switch the keys of the target on or off. @param {string} [lane] only this one */
  toggle(lane) {
    const { a, b, lanes } = this.target;
    const chosen = lane ? [lane] : lanes;
    this.apply((doc) => chosen.reduce((now, id) => edit.toggleRange(now, id, a, b), doc));
    this.sayRange(chosen[chosen.length - 1], a, b);
  }

  /** @param {string} lane @param {number} a @param {number} b */
  sayRange(lane, a, b) {
    const state = edit.isAxis(lane) ? this.valueText(lane, a) : this.words(edit.isOn(this.doc, lane, a) ? "say.on" : "say.off");
    this.say("say.range", { lane: this.nameOf(lane), a, b: b - 1, state });
  }

  // ---- clipboard

  copy() {
    this.say("say.copied", { n: this.target.b - this.target.a });
    return copyScript(this);
  }

  clear() {
    const { a, b, lanes } = this.target;
    this.apply((doc) => edit.clearRange(doc, lanes, a, b));
    this.sayRange(lanes[0], a, b);
  }

  /** @param {string} text @returns {string | null} what is wrong with it */
  paste(text) {
    if (!this.editable || !text.trim()) return null;
    try {
      pasteText(this, text);
      return null;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return error.message;
    }
  }

  repeat() {
    if (this.editable) repeatSelection(this);
  }

  // ---- time

  /** Insert idle rows at the cursor. @param {number} [rows] default: a block, or as many as are selected */
  insert(rows = this.selection ? this.selection.b - this.selection.a : 12) {
    const at = this.selection?.a ?? this.cursor.t;
    this.apply((doc) => edit.rippleInsert(doc, at, rows));
    this.say("say.inserted", { n: rows, t: at });
  }

  /** Take rows out at the cursor: a block, or what is selected. */
  remove() {
    const [at, rows] = this.selection ? [this.selection.a, this.selection.b - this.selection.a] : [this.cursor.t, 12];
    this.selection = null;
    this.apply((doc) => edit.rippleDelete(doc, at, rows));
    this.say("say.removed", { n: rows, t: at });
  }

  /** @param {number} blocks */
  setBlocks(blocks) {
    this.apply((doc) => edit.setLength(doc, framesOfBlocks(blocks)));
    const { length } = this.doc;
    this.say("say.length", { blocks: blocksOfFrames(length), frames: length, seconds: Number((length / FPS).toFixed(2)) });
  }

  /** @param {string} name */
  mark(name) {
    this.apply((doc) => edit.setMarker(doc, this.cursor.t, name));
    this.say(name.trim() ? "say.marker" : "say.unmarked", { name, t: this.cursor.t });
  }

  /** @param {"in"|"out"|"toggle"} what */
  loop(what) {
    const { t } = this.cursor;
    const { loop, length } = this.doc;
    const toggled = loop ? null : this.selection ? [this.selection.a, this.selection.b] : [0, length];
    const next = what === "toggle" ? toggled : what === "in" ? [t, loop && loop[1] > t ? loop[1] : length] : [loop && loop[0] <= t ? loop[0] : 0, t + 1];
    this.apply((doc) => edit.setLoop(doc, /** @type {[number, number] | null} */ (next)));
    if (this.doc.loop) this.say("say.loop", { a: this.doc.loop[0], b: this.doc.loop[1] });
    else this.say("say.noloop");
  }

  /** The marker before or after the cursor; the ends count as markers. @param {number} direction */
  jump(direction) {
    const places = [0, ...this.doc.markers.map((m) => m.t), this.doc.length - 1];
    const found = direction > 0 ? places.find((t) => t > this.cursor.t) : places.reverse().find((t) => t < this.cursor.t);
    if (found !== undefined) this.moveTo(found);
  }

  // ---- ways of working

  /** @param {string} tool */
  setTool(tool) {
    this.tool = tool;
    this.ramp = null;
    this.emit("view");
    this.say("say.tool", { name: this.words(`tool.${tool}`) });
  }

  nextSnap() {
    this.snap = SNAPS[(SNAPS.indexOf(this.snap) + 1) % SNAPS.length];
    this.emit("view");
    this.say("say.snap", { name: this.words(`snap.${this.snap}`) });
  }

  /** The next easing, also for ramps under the target. */
  nextEasing() {
    this.easing = EASINGS[(EASINGS.indexOf(this.easing) + 1) % EASINGS.length];
    const { a, b, lanes } = this.target;
    const axes = lanes.filter((lane) => edit.isAxis(lane) && edit.rampAt(this.doc, lane, a));
    if (axes.length) this.apply((doc) => axes.reduce((now, axis) => edit.setEasing(now, axis, a, b, this.easing), doc));
    this.emit("view");
    this.say("easing", { name: this.words(`ease.${this.easing}`) });
  }

  /** @param {string} lane */
  arm(lane) {
    if (this.armed.delete(lane)) this.say("say.disarmed", { lane: this.nameOf(lane) });
    else {
      this.armed.add(lane);
      this.say("say.armed", { lane: this.nameOf(lane) });
    }
    this.emit("view");
  }

  /** The line under the lanes. */
  get status() {
    const t = this.playhead ?? this.cursor.t;
    const parts = [this.words("status", { t, s: (t / FPS).toFixed(2), block: blockOfInput(t) })];
    if (this.selection) parts.push(this.words("status.selection", { n: this.selection.b - this.selection.a }));
    parts.push(this.words("status.end", { frames: this.doc.length, seconds: (this.doc.length / FPS).toFixed(2) }));
    return parts.join("  ·  ");
  }
}
