// @ts-check
/** The commands of one timeline editor. Knows nothing of the page; drawing and input are elsewhere. */
import { MAX_FRAMES, blockOfInput, blocksOfFrames, framesOfBlocks, secondsOf } from "../../model/variants.mjs";
import { copyScript, pasteText, repeatSelection } from "./clipboard.mjs";
import { activeTracks } from "../../model/document.mjs";
import { changeText } from "./changes.mjs";
import { UNITS, readPlace } from "../../model/places.mjs";
import { costOf, costText } from "./cost.mjs";
import { degreesText, signed, turnOf } from "../../model/turns.mjs";
import { valueAt } from "../../model/tracks.mjs";
import { EditorState } from "./state.mjs";
import { branchOf, canFork, fork, removeBranch, renameBranch } from "./branches.mjs";
import * as edit from "../../model/edit.mjs";
import * as signs from "../../model/edit_signs.mjs";

/** @typedef {import("./state.mjs").Cursor} Cursor */
/** @typedef {import("./state.mjs").Selection} Selection */
/** @typedef {import("./state.mjs").Problem} Problem */

const MOST_CHANGES = 30; // that are listed

export class Editor extends EditorState {
  /** How far a run is, while one goes on. @type {import("./cost.mjs").Pace | null} */
  pace = null;
  /** How a recording begins. @type {import("../menus/record_menu.mjs").Recording} */
  recording = { start: "now", quantise: false };
  /** What stands at the pointer. @type {import("../view/readout.mjs").Readout | null} */
  readout = null;
  /** The camera value that a drag gives, where it is not that of the pointer's height. @type {number | null} */
  drawn = null;

  // ---- cursor and selection

  /** @param {number} t @param {string} [lane] @param {boolean} [extend] */
  moveTo(t, lane = this.cursor.lane, extend = false) {
    const from = this.anchor ?? this.cursor;
    this.place(t, lane, extend ? from : null);
    if (extend) this.selectBetween(from, this.cursor);
    else this.selection = null;
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
    const state = edit.isAxis(lane)
      ? this.valueText(lane, a)
      : this.words(edit.isOn(this.doc, lane, a) ? "say.on" : "say.off");
    this.say("say.range", { lane: this.nameOf(lane), a, b: b - 1, state });
  }

  // ---- clipboard

  copy() {
    this.sayCopied();
    return copyScript(this);
  }

  sayCopied() {
    this.told = this.words("say.copied", { n: this.target.b - this.target.a });
    this.emit("say", this.told);
    this.emit("view");
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
    const n = Math.min(rows, MAX_FRAMES - this.doc.length);
    if (n <= 0) {
      this.say("say.longest");
      return;
    }
    this.apply((doc) => edit.rippleInsert(doc, at, n));
    this.say("say.inserted", { n, t: at });
  }

  /** Take rows out at the cursor: a block, or what is selected. */
  remove() {
    const [at, rows] = this.selection ? [this.selection.a, this.selection.b - this.selection.a] : [this.cursor.t, 12];
    this.selection = null;
    this.apply((doc) => edit.rippleDelete(doc, at, rows));
    this.say("say.removed", { n: rows, t: at });
  }

  /** @param {import("../../model/variants.mjs").Block} blocks */
  setBlocks(blocks) {
    this.apply((doc) => edit.setLength(doc, framesOfBlocks(blocks)));
    this.sayLength();
  }

  sayLength() {
    const { length } = this.doc;
    this.say("say.length", {
      blocks: blocksOfFrames(length),
      frames: length,
      seconds: Number(secondsOf(length).toFixed(2)),
    });
  }

  /** Make it longer by so many blocks, and look at where they begin. @param {number} blocks */
  goOn(blocks) {
    const { length } = this.doc;
    this.setBlocks(Math.min(blocksOfFrames(MAX_FRAMES), blocksOfFrames(length) + blocks));
    if (this.doc.length > length) this.moveTo(length);
  }

  /** @param {string} name */
  mark(name) {
    this.apply((doc) => signs.setMarker(doc, this.cursor.t, name));
    this.say(name.trim() ? "say.marker" : "say.unmarked", { name, t: this.cursor.t });
  }

  /** Keep the state of the world at the cursor in a cache, or no longer. */
  pin() {
    const { t } = this.cursor;
    this.apply((doc) => signs.togglePin(doc, t, this.words("pin.name")));
    this.say(this.doc.markers.some((m) => m.t === t && m.pin) ? "say.pinned" : "say.unpinned", { t });
  }

  /** @param {"in"|"out"|"toggle"} what */
  loop(what) {
    const { t } = this.cursor;
    const { loop, length } = this.doc;
    const toggled = loop ? null : this.selection ? [this.selection.a, this.selection.b] : [0, length];
    const next =
      what === "toggle"
        ? toggled
        : what === "in"
          ? [t, loop && loop[1] > t ? loop[1] : length]
          : [loop && loop[0] <= t ? loop[0] : 0, t + 1];
    this.apply((doc) => signs.setLoop(doc, /** @type {[number, number] | null} */ (next)));
    if (this.doc.loop) this.say("say.loop", { a: this.doc.loop[0], b: this.doc.loop[1] });
    else this.say("say.noloop");
  }

  /** Go to a place, or select a stretch. @param {string} text @returns {boolean} whether it can be read */
  goTo(text) {
    const place = readPlace(text, this.doc);
    if (!place) return false;
    this.moveTo(place.a);
    if (place.range) this.select(place.a, place.b);
    return true;
  }

  /** The steps of undo, newest first: what each changed. @returns {{at: number, text: string}[]} */
  get changes() {
    const { states } = this.history;
    const names = {
      lane: (/** @type {string} */ id) => this.nameOf(id),
      branch: (/** @type {import("../../model/document.mjs").Timeline} */ doc) =>
        branchOf(doc, doc.active)?.name ?? this.words("branch.main"),
    };
    const text = (/** @type {number} */ at) =>
      at ? changeText(states[at - 1].doc, states[at].doc, this.words, names) : this.words("change.first");
    return states
      .map((_, at) => at)
      .slice(-MOST_CHANGES)
      .reverse()
      .map((at) => ({ at, text: text(at) }));
  }

  /** The marker before or after the cursor; the ends count as markers. @param {number} direction */
  jump(direction) {
    const places = [0, ...this.doc.markers.map((m) => m.t), this.doc.length - 1];
    const found =
      direction > 0 ? places.find((t) => t > this.cursor.t) : places.reverse().find((t) => t < this.cursor.t);
    if (found !== undefined) this.moveTo(found);
  }

  // ---- branches

  /** A new branch from the playhead on, which is edited from now on. */
  fork() {
    if (!this.editable) return;
    if (!canFork(this.doc)) {
      this.say("say.branchfull", { most: this.doc.branches.length });
      return;
    }
    this.settle();
    const from = this.doc.active;
    const t = this.playhead ?? this.cursor.t;
    this.apply((doc) => fork(doc, t, (n) => this.words("branch.name", { n })));
    this.left = from;
    this.emit("view");
    this.say("say.forked", { name: this.branchName(this.doc.active), from: this.branchName(from), t });
  }

  /** Show another branch: by default the one that was left last. @param {string | null | undefined} id */
  flip(id = this.other) {
    this.settle();
    if (id === undefined) {
      this.say("say.nobranch");
      return;
    }
    this.flipTo(id);
    this.say("say.flipped", { name: this.branchName(this.doc.active), difference: this.difference });
  }

  /** @param {string} name @returns {boolean} whether it can be one */
  renameBranch(name) {
    if (!name.trim()) return false;
    this.apply((doc) => renameBranch(doc, doc.active, name));
    this.say("say.renamed", { name: this.branchName(this.doc.active) });
    return true;
  }

  /** Take the branch in use away; the other one is shown instead. */
  removeBranch() {
    const { active } = this.doc;
    if (active === null) return;
    const [name, next] = [this.branchName(active), this.other ?? null];
    this.apply((doc) => removeBranch(doc, active, next));
    this.say("say.unforked", { name, next: this.branchName(this.doc.active) });
  }

  /** Where the two branches differ, in words; empty without branches. */
  get difference() {
    const { other, divergence } = this;
    if (other === undefined) return "";
    const name = this.branchName(other);
    return divergence
      ? this.words("branch.differs", { name, block: divergence.block, t: divergence.row })
      : this.words("branch.same", { name });
  }

  /**
   * The branch that is compared with, as it is drawn.
   * @returns {import("../view/draw_branches.mjs").Comparison | null}
   */
  get comparison() {
    const { doc, other } = this;
    if (other === undefined) return null;
    const own = branchOf(doc, doc.active) ?? branchOf(doc, other);
    return {
      name: this.branchName(other),
      tracks: activeTracks({ ...doc, active: other }),
      at: this.divergence,
      fork: own?.fork ?? 0,
    };
  }

  // ---- ways of working

  /** @param {string} tool */
  setTool(tool) {
    this.tool = tool;
    this.ramp = null;
    this.emit("view");
    this.say("say.tool", { name: this.words(`tool.${tool}`) });
  }

  /** The ruler in the next unit. */
  nextUnit() {
    this.view.unit = UNITS[(UNITS.indexOf(this.view.unit) + 1) % UNITS.length];
    this.emit("view");
    this.say(`ruler.${this.view.unit}`);
  }

  nextSnap() {
    super.nextSnap();
    this.emit("view");
    this.say("say.snap", { name: this.words(`snap.${this.snap}`) });
  }

  /** The next easing, also for ramps under the target. */
  nextEasing() {
    super.nextEasing();
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

  /** What the camera does where a command acts: the value under the cursor, how far a selection turns. */
  get camera() {
    const { a, b, lanes } = this.target;
    const { camera } = this.variant;
    return lanes.filter(edit.isAxis).map((id) => {
      const entries = activeTracks(this.doc)[id];
      const lane = this.nameOf(id);
      if (this.selection) return this.words("status.turn", { lane, turn: degreesText(turnOf(entries, camera, a, b)) });
      const value = valueAt(entries, a);
      return this.words("status.value", { lane, value: signed(value), degrees: degreesText(value * camera.unit) });
    });
  }

  /** Raise the end of the ramp under the cursor, or make one that ends so much higher. @param {number} by */
  raiseEnd(by) {
    const { a, b, lanes } = this.target;
    const axes = lanes.filter(edit.isAxis);
    if (!axes.length) return;
    const raised = (/** @type {number} */ value) => Math.round((value + by) * 1e4) / 1e4;
    this.apply((doc) =>
      axes.reduce((now, axis) => {
        const ramp = edit.rampAt(now, axis, a);
        if (ramp?.length === 5 && (!this.selection || (ramp[0] === a && ramp[0] + ramp[3] === b)))
          return edit.moveRampEnd(now, axis, ramp, "stop", ramp[0] + ramp[3], raised(ramp[4]));
        const entries = activeTracks(now)[axis];
        const [from, to] = [valueAt(entries, a), valueAt(entries, b - 1)];
        return edit.rampAxis(now, axis, a, b, from, raised(to), this.easing);
      }, doc),
    );
    this.sayRange(axes[0], a, b);
  }

  /** The line under the lanes. */
  get status() {
    const t = this.playhead ?? this.cursor.t;
    const block = blockOfInput(t);
    const state = this.blocks[block] ?? "none";
    const parts = [
      this.words("status", { t, s: secondsOf(t).toFixed(2), block }) +
        (state === "none" || state === "done" ? "" : ` (${this.words(`state.${state}`)})`),
    ];
    const cost = costOf(this.storedBlocks, this.blocks);
    if (cost) parts.push(costText(cost, this.words));
    if (this.difference) parts.push(`${this.branchName(this.doc.active)} ${this.difference}`);
    if (this.selection) parts.push(this.words("status.selection", { n: this.selection.b - this.selection.a }));
    parts.push(...this.camera);
    parts.push(this.words("status.end", { frames: this.doc.length, seconds: secondsOf(this.doc.length).toFixed(2) }));
    return parts.join("  ·  ");
  }
}
