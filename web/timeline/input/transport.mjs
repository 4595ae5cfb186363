// @ts-check
/** Play and record: a playhead that runs at 25 frames a second, and the take that lands under it. */
import { putRange } from "../../model/edit.mjs";
import { quantised } from "./quantise.mjs";
import { SAMPLE_MS, Take } from "./record.mjs";

/** @typedef {import("../editing/editor.mjs").Editor} Editor */

const COUNTS = 3;
const COUNT_MS = 600;

export class Transport {
  /** @param {Editor} editor @param {(playing: boolean) => void} changed */
  constructor(editor, changed) {
    this.editor = editor;
    this.changed = changed;
    /** @type {Take | null} */
    this.take = null;
    this.frame = 0;
    this.begun = 0;
    this.rows = 0;
    this.from = 0;
    this.to = 0;
    /** @type {import("../menus/record_menu.mjs").Start} */
    this.waits = "now";
    this.base = editor.doc;
    editor.endings.push(() => this.take && this.stop());
    this.hidden = () => document.hidden && this.stop();
  }

  get running() {
    return this.editor.playhead !== null;
  }

  /**
   * Play; record where lanes are armed. With a loop, it is the loop that is played, or punched into.
   * @param {boolean} record
   */
  start(record) {
    const { editor } = this;
    if (this.running || !editor.editable) return;
    const { loop, length } = editor.doc;
    this.base = editor.doc;
    this.from = loop ? loop[0] : editor.cursor.t;
    this.to = loop ? loop[1] : length;
    if (!loop && this.from >= length - 1) {
      if (record) {
        editor.say("say.full");
        return;
      }
      this.from = 0;
    }
    this.take = record ? new Take(editor.variant, [...editor.armed]) : null;
    this.rows = 0;
    this.waits = record ? editor.recording.start : "now";
    this.begun = performance.now() + (this.waits === "count" ? COUNTS * COUNT_MS : 0);
    editor.playhead = this.from;
    editor.selection = null;
    editor.say(record ? "say.recording" : "say.playing", { t: this.from });
    document.addEventListener("visibilitychange", this.hidden);
    this.changed(true);
    this.frame = requestAnimationFrame(() => this.tick());
  }

  /** What there is to say before a recording begins, null once it has. @returns {{key: string, n: number} | null} */
  get prelude() {
    if (!this.take || this.waits === "now") return null;
    if (this.waits === "key") return { key: "record.waits", n: 0 };
    return { key: "record.counts", n: Math.max(1, Math.ceil((this.begun - performance.now()) / COUNT_MS)) };
  }

  /** Whether the recording has not begun; where it is to begin now, it does. */
  isWaiting() {
    const { take } = this;
    if (!take || this.waits === "now") return false;
    if (this.waits === "key" ? !take.busy : performance.now() < this.begun) return true;
    if (this.waits === "key") this.begun = performance.now();
    else take.begin();
    this.waits = "now";
    return false;
  }

  tick() {
    const { editor } = this;
    if (!this.running) return;
    if (this.isWaiting()) {
      editor.emit("view");
      this.frame = requestAnimationFrame(() => this.tick());
      return;
    }
    const due = Math.floor((performance.now() - this.begun) / SAMPLE_MS);
    const last = this.to - this.from;
    if (this.take) {
      const before = this.rows;
      for (; this.rows < Math.min(due, last); this.rows++) this.take.sample();
      if (this.rows > before) editor.preview(putRange(this.base, this.take.tracks(), this.from, this.rows));
      if (this.rows >= last) {
        this.stop();
        return;
      }
    } else if (due >= last && !editor.doc.loop) {
      this.stop();
      return;
    }
    editor.playhead = this.from + (this.take ? this.rows : due % last);
    editor.view.reveal(editor.doc, editor.playhead);
    editor.emit("view");
    this.frame = requestAnimationFrame(() => this.tick());
  }

  /** Stop; a take becomes one step of undo. */
  stop() {
    const { editor, take } = this;
    if (!this.running) return;
    cancelAnimationFrame(this.frame);
    document.removeEventListener("visibilitychange", this.hidden);
    const t = Math.min(editor.playhead ?? 0, editor.doc.length - 1);
    editor.playhead = null;
    editor.cursor = { ...editor.cursor, t: take ? Math.max(0, t - 1) : t };
    this.take = null;
    this.changed(false);
    if (take && this.rows && editor.recording.quantise) {
      const tracks = quantised(take.tracks(), this.from, this.rows, editor.variant.exclusive);
      editor.preview(putRange(this.base, tracks, this.from, this.rows));
    }
    if (!take) {
      editor.emit("view");
      editor.say("say.stopped", { t });
      return;
    }
    editor.commit();
    editor.say("say.recorded", { n: this.rows });
  }
}
