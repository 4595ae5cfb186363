// @ts-check
/** What is measured while playing: how long a key takes to become a picture, and where that time goes. */
import { framesOfBlocks, secondsOf } from "../../model/variants.mjs";

const MEAN = 0.3;
const RATE_MS = 1000;

export class Readouts {
  constructor() {
    /** @type {{seq: number, at: number}[]} keys pressed whose picture has not come yet */
    this.pending = [];
    /** Milliseconds; 0 where nothing was measured yet. */
    this.latency = 0;
    this.generation = 0;
    this.decode = 0;
    this.transport = 0;
    this.rate = 0;
    /** @type {number[]} times at which frames were drawn, of the last second */
    this.drawn = [];
  }

  /** Something was pressed that snapshot `seq` says. @param {number} seq @param {number} at milliseconds */
  pressed(seq, at) {
    if (this.pending.length < 100) this.pending.push({ seq, at });
  }

  /** Frames came. @param {import("../link.mjs").FramesHead} head */
  came(head) {
    this.decode = head.part === 0 ? head.decode : this.decode + head.decode;
    if (head.part === 0) this.generation = mean(this.generation, head.generation);
  }

  /** A frame is on screen. @param {number} seq the last snapshot in it @param {number} now milliseconds */
  painted(seq, now) {
    this.drawn = [...this.drawn.filter((at) => now - at < RATE_MS), now];
    this.rate = this.drawn.length;
    for (const { seq: wanted, at } of this.pending) if (wanted <= seq) this.latency = mean(this.latency, now - at);
    this.pending = this.pending.filter((one) => one.seq > seq);
  }

  /**
   * All of it in a line.
   * @param {(name: string, values?: Record<string, any>) => string} words
   * @param {{blocks: number, most: number | null | undefined, playing: boolean, dropped: number}} session `most` blocks
   *   may be played
   */
  line(words, { blocks, most, playing, dropped }) {
    const parts = [words("read.blocks", { blocks, seconds: secondsOf(framesOfBlocks(blocks)).toFixed(1) })];
    if (most) parts.push(words("read.left", { blocks: most - blocks }));
    if (playing) parts.push(words("read.rate", { fps: this.rate }));
    for (const name of /** @type {const} */ (["latency", "generation", "decode", "transport"])) {
      if (this[name]) parts.push(words(`read.${name}`, { ms: inTime(this[name]) }));
    }
    if (dropped) parts.push(words("read.dropped", { n: dropped }));
    return parts.join(" · ");
  }

  /** Nothing is on its way any more. */
  clear() {
    this.pending = [];
    this.drawn = [];
  }
}

/** @param {number} value milliseconds */
function inTime(value) {
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`;
}

/** @param {number} before @param {number} value */
function mean(before, value) {
  return before ? before + MEAN * (value - before) : value;
}
