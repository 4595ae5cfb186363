// @ts-check
/** What one timeline editor holds: the document, its history, its script, and what stands in the way of editing. */
import { VARIANTS, laneName, lanesOf } from "../../model/variants.mjs";
import { branchOf, divergence, flipTo, hasBranch } from "./branches.mjs";
import { DocumentError, EASINGS, emptyDocument, readDocument, writeDocument } from "../../model/document.mjs";
import { blockStates } from "../../model/compare.mjs";
import { statesFor } from "../view/strip.mjs";
import { History } from "./history.mjs";
import { SNAPS, View } from "../view/view.mjs";
import { ScriptError, parseScript, printScript } from "../../script/script.mjs";
import { convertVariant } from "../../model/convert.mjs";
import { warningsOf } from "../../model/warnings.mjs";
import * as edit from "../../model/edit.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../../model/variants.mjs").Frame} Frame */
/** @typedef {{t: Frame, lane: string}} Cursor */
/** @typedef {{a: Frame, b: Frame, lanes: string[]}} Selection */
/**
 * @typedef {{doc: Timeline, cursor: Cursor, selection: Selection | null, flip?: boolean}} Moment `flip`: to another
 *   branch
 */
/** @typedef {{kind: "json"|"schema"|"newer", message: string, text: string}} Problem */
/**
 * @typedef {{text: string, variant: string, script: import("../../script/script.mjs").Script | null, error: ScriptError
 *   | null, warnings: import("../../script/lexer.mjs").Note[]}} Read
 */

export class EditorState {
  /** @param {string} variant @param {import("../parts/i18n.mjs").Translate} say */
  constructor(variant, say) {
    this.words = say;
    /** The variant that the node is set to, if there is a node. @type {() => string | null} */
    this.nodeVariant = () => null;
    /** The timeline that a new node begins with, which nobody made. @type {Timeline | null} */
    this.untouched = null;
    this.view = new View();
    this.tool = "paint";
    this.snap = "frame";
    this.easing = "linear";
    /** @type {Set<string>} */
    this.armed = new Set();
    /** @type {Frame | null} */
    this.playhead = null;
    /** @type {Problem | null} */
    this.problem = null;
    /** The timeline of the last finished run. @type {Timeline | null} */
    this.rendered = null;
    /** What a cache has of the timeline, where there is one. @type {import("../view/strip.mjs").StoredBlocks | null} */
    this.storedBlocks = null;
    this.wanted = /** @type {string | null} a variant the node asks for and the timeline is not made for */ (null);
    /** @type {{axis: string, a: number, v0: number, b: number, v1: number} | null} */
    this.ramp = null;
    /** The script that was written last. @type {{doc: Timeline, text: string} | null} */
    this.printed = null;
    /** The script that was read last. @type {Read | null} */
    this.read = null;
    /**
     * The timeline that the script tab made last, and the one it began with.
     * @type {{doc: Timeline, base: Timeline} | null}
     */
    this.scripted = null;
    /** The branch that was left last, to flip back to. @type {string | null | undefined} */
    this.left = undefined;
    /** @type {{doc: Timeline, id: string | null, at: import("./branches.mjs").Divergence | null} | null} */
    this.compared = null;
    /** @type {((what: "edit"|"view"|"say", text?: string) => void)[]} */
    this.listeners = [];
    /** Each ends what is under way (a gesture, a take, a text) as its user would. @type {(() => void)[]} */
    this.endings = [];
    this.told = ""; // what was done without a trace in the lanes, until the next edit
    this.doc = emptyDocument(variant);
    /** @type {Cursor} */
    this.cursor = { t: 0, lane: this.lanes[0].id };
    /** @type {Selection | null} */
    this.selection = null;
    this.anchor = /** @type {Cursor | null} where a range begins that Shift ends */ (null);
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
    return laneName(this.variant, id, this.words);
  }

  // ---- the value

  /** The widget's value. What could not be read comes back as it was. */
  get text() {
    if (this.problem) return this.problem.text;
    if (this.cached.doc !== this.doc) this.cached = { doc: this.doc, text: writeDocument(this.doc) };
    return this.cached.text;
  }

  /** End whatever is under way: what goes on from a timeline of before would undo the next edit. */
  settle() {
    for (const end of this.endings) end();
  }

  /** Take a value: a document, a script, or nothing. @param {string} text */
  load(text) {
    this.settle();
    const variant = this.nodeVariant() ?? this.doc.variant;
    this.problem = null;
    if (!text.trim()) this.doc = emptyDocument(variant);
    else if (/^\s*[[{"]/.test(text)) this.loadDocument(text);
    else this.doc = this.documentOf(text, variant);
    this.restart();
  }

  /** @param {string} text */
  loadDocument(text) {
    try {
      this.doc = readDocument(text);
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      this.problem = { kind: error.kind, message: error.message, text };
    }
  }

  /**
   * The timeline of a script; of one with a fault, an empty one that carries it.
   * @param {string} text @param {string} variant @returns {Timeline}
   */
  documentOf(text, variant) {
    try {
      return parseScript(text, variant).document;
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      // A script that names its own variant is shown as that; the node then offers to convert it.
      if (error.code === "other-variant") return this.documentOf(text, error.wanted);
      return { ...emptyDocument(variant), source: { kind: "script", text } };
    }
  }

  /** Begin anew with `doc` as it is: no history, cursor at the start. */
  restart() {
    this.cursor = { t: 0, lane: this.lanes[0].id };
    this.selection = this.anchor = this.ramp = null;
    this.armed = new Set([...this.armed].filter((lane) => this.lanes.some((l) => l.id === lane)));
    this.wantNodes();
    this.left = undefined;
    this.history.reset(this.moment());
    this.view.clampScroll(this.doc);
    this.emit("edit");
  }

  /** Replace a timeline that could not be read by an empty one; only ever on the user's word. */
  startEmpty() {
    this.problem = null;
    this.doc = emptyDocument(this.nodeVariant() ?? this.doc.variant);
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

  /**
   * Take the text of the script tab; the lanes follow as soon as it can be read. `commit` makes it a step of undo. What
   * a text that is half written cuts off, of other branches too, is there again when it is written out.
   * @param {string} text
   */
  setScript(text) {
    if (!this.editable) return;
    const { script } = this.readScript(text);
    const base = this.scripted?.doc === this.doc ? this.scripted.base : this.doc;
    if (script) {
      this.selection = this.anchor = null;
      this.cursor = { ...this.cursor, t: Math.min(this.cursor.t, script.document.length - 1) };
    }
    this.preview(script ? edit.takeScript(base, script.document) : { ...this.doc, source: { kind: "script", text } });
    this.scripted = { doc: this.doc, base };
  }

  /** The script of the whole timeline: the user's own text while it is up to date. */
  get script() {
    if (this.doc.source?.kind === "script") return this.doc.source.text;
    if (this.printed?.doc !== this.doc) this.printed = { doc: this.doc, text: printScript(this.doc) };
    return this.printed.text;
  }

  /** See whether the timeline is for the variant of the node. */
  wantNodes() {
    const variant = this.nodeVariant();
    const other = variant !== null && Object.hasOwn(VARIANTS, variant) && variant !== this.doc.variant;
    this.wanted = other && !this.problem ? variant : null;
  }

  /** @param {string} variant of the node @returns {boolean} whether the timeline fits it now */
  want(variant) {
    if (!Object.hasOwn(VARIANTS, variant) || this.problem) return false;
    this.wanted = variant === this.doc.variant ? null : variant;
    if (!this.wanted) {
      this.emit("view");
      return true;
    }
    const { doc, lost } = convertVariant(this.doc, variant);
    const keeps = !lost.length && !this.scriptError;
    const untouched = this.doc === this.untouched;
    if (!keeps && !untouched) {
      this.emit("view");
      return false;
    }
    this.convert(keeps ? doc : emptyDocument(variant, this.doc.length));
    if (untouched) this.untouched = this.doc;
    return true;
  }

  /** Take a timeline of another variant. @param {Timeline} doc */
  convert(doc) {
    this.settle();
    this.wanted = null;
    this.selection = this.anchor = null;
    this.armed = new Set();
    this.doc = doc;
    this.cursor = { t: Math.min(this.cursor.t, doc.length - 1), lane: this.lanes[0].id };
    this.commit();
    this.say("say.converted", { variant: this.variant.title });
  }

  /** How each block stands to the cache or, without one, to the last finished run. */
  get blocks() {
    return this.storedBlocks ? statesFor(this.storedBlocks, this.doc) : blockStates(this.doc, this.rendered);
  }

  get warnings() {
    return warningsOf(this.doc);
  }

  // ---- cursor and ways of working

  /**
   * Put the cursor into a cell, or the nearest there is.
   * @param {number} t @param {string} lane @param {Cursor | null} anchor where a range begins that ends there
   */
  place(t, lane, anchor) {
    this.cursor = { t: Math.max(0, Math.min(this.doc.length - 1, t)), lane };
    this.anchor = anchor;
  }

  nextSnap() {
    this.snap = SNAPS[(SNAPS.indexOf(this.snap) + 1) % SNAPS.length];
  }

  nextEasing() {
    this.easing = EASINGS[(EASINGS.indexOf(this.easing) + 1) % EASINGS.length];
  }

  // ---- branches

  /**
   * The branch that is compared with and flipped to: the one that was left last, or a likely one; undefined without
   * branches.
   */
  get other() {
    const { active, branches } = this.doc;
    if (!branches.length) return undefined;
    if (this.left !== undefined && this.left !== active && hasBranch(this.doc, this.left)) return this.left;
    return active === null ? /** @type {string} */ (branches[branches.length - 1].id) : null;
  }

  /** @param {string | null | undefined} id */
  branchName(id) {
    return branchOf(this.doc, id)?.name ?? this.words("branch.main");
  }

  /** Where the branch in use begins to differ from the other one; null where it does not. */
  get divergence() {
    const { doc, other, compared } = this;
    if (other === undefined) return null;
    if (compared?.doc !== doc || compared.id !== other) this.compared = { doc, id: other, at: divergence(doc, other) };
    return this.compared?.at ?? null;
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

  /**
   * Show another branch. Flips one after the other are one step of undo, and none where they end where they began.
   * @param {string | null} id
   */
  flipTo(id) {
    if (!this.editable || id === this.doc.active || !hasBranch(this.doc, id)) return;
    this.commit();
    this.left = this.doc.active;
    const before = this.history.now.flip ? this.history.drop() : null;
    this.doc = before?.doc.active === id ? before.doc : flipTo(this.doc, id);
    if (this.doc !== before?.doc) this.history.push({ ...this.moment(), flip: true });
    this.emit("edit");
  }

  /** @param {(doc: Timeline) => Timeline} change */
  apply(change) {
    if (!this.editable) return;
    this.settle();
    this.doc = change(this.doc);
    this.cursor = { ...this.cursor, t: Math.min(this.cursor.t, this.doc.length - 1) };
    if (this.selection) this.selection = this.clip(this.selection);
    this.commit();
  }

  /** @param {Selection} selection @returns {Selection | null} */
  clip({ a, b, lanes }) {
    return a < this.doc.length ? { a, b: Math.min(b, this.doc.length), lanes } : null;
  }

  /** Go to a step of the history. @param {(at: number) => number} to from the place of the present one */
  travel(to) {
    if (!this.editable) return;
    this.settle();
    const { history } = this;
    const at = to(history.at);
    if (at === history.at || !history.states[at]) return;
    const back = at < history.at;
    const { cursor, selection } = history.states[back ? at + 1 : at]; // where the change is that is seen then
    history.at = at;
    const moment = history.now;
    const changedVariant = moment.doc.variant !== this.doc.variant;
    if (moment.doc.active !== this.doc.active) this.left = this.doc.active;
    this.doc = moment.doc;
    this.cursor = { t: Math.min(cursor.t, moment.doc.length - 1), lane: cursor.lane };
    if (!this.lanes.some((lane) => lane.id === this.cursor.lane)) this.cursor.lane = this.lanes[0].id;
    this.selection = changedVariant ? null : selection && this.clip(selection);
    this.view.reveal(this.doc, this.cursor.t);
    if (changedVariant) this.wantNodes();
    this.emit("edit");
    this.say(back ? "say.undo" : "say.redo");
  }

  undo() {
    this.travel((at) => at - 1);
  }

  redo() {
    this.travel((at) => at + 1);
  }
}
