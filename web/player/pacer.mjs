// @ts-check
/**
 * When each frame is shown. Frames follow each other at the rate at which blocks come, at most the model's own; none is
 * kept back on purpose: what comes late is held up by nothing, and a queue that a delay left behind is played a little
 * faster until it is gone.
 */

const MEAN = 0.3; // weight of the newest block in the mean time of a frame
const SLOWEST_MS = 500; // of a frame: slower blocks play at this rate and then stand still
const HURRY = 0.96; // of a frame's time, while frames wait longer than
const SLACK_MS = 60;

/**
 * @template T
 * @typedef {{at: number, frame: T}} Due
 */

/** @template T */
export class Pacer {
  /** @param {number} fps of the model @param {(frame: T) => void} discard lets go of a frame that is shown no more */
  constructor(fps, discard) {
    this.nominal = 1000 / fps;
    this.discard = discard;
    /** @type {Due<T>[]} */
    this.queue = [];
    this.shown = 0;
    this.dropped = 0;
    this.held = 0;
    this.step = this.nominal;
    this.last = -Infinity; // when the last frame is due
    this.blockAt = -Infinity;
    this.blockFrames = 0;
  }

  /** Time begins anew: after a pause, and after going back. */
  restart() {
    for (const { frame } of this.queue) this.discard(frame);
    this.queue = [];
    this.step = this.nominal;
    this.last = -Infinity;
    this.blockAt = -Infinity;
    this.blockFrames = 0;
  }

  /**
   * Frames have come. @param {T[]} frames @param {number} now milliseconds @param {boolean} newBlock
   * @param {number} [every] how many frames of the model each of them stands for
   */
  add(frames, now, newBlock, every = 1) {
    if (newBlock) this.measure(now);
    this.blockFrames += frames.length * every;
    const late = now - (this.last + this.step);
    if (late > 0 && Number.isFinite(late) && this.shown) this.held += 1;
    let at = Math.max(now, this.last + this.step);
    if (at - now > 12 * this.step) at = now; // hopelessly behind: what waits is passed over
    const step = (at - now > SLACK_MS ? HURRY : 1) * this.step * every;
    for (const frame of frames) {
      this.queue.push({ at, frame });
      this.last = at + (every - 1) * this.step;
      at += step;
    }
  }

  /** @param {number} now */
  measure(now) {
    const interval = (now - this.blockAt) / Math.max(1, this.blockFrames);
    if (Number.isFinite(interval)) {
      const jump = interval > 5 * this.step || now - this.blockAt > 500 + 12 * this.step;
      const mean = jump ? interval : this.step + MEAN * (interval - this.step);
      this.step = Math.max(this.nominal, Math.min(SLOWEST_MS, mean));
    }
    this.blockAt = now;
    this.blockFrames = 0;
  }

  /** The newest frame that is due, or null where the one on screen stays. @param {number} now @returns {T | null} */
  due(now) {
    /** @type {T | null} */
    let newest = null;
    while (this.queue.length && this.queue[0].at <= now) {
      if (newest !== null) {
        this.discard(newest);
        this.dropped += 1;
      }
      newest = /** @type {Due<T>} */ (this.queue.shift()).frame;
    }
    if (newest !== null) this.shown += 1;
    return newest;
  }

  /** Frames that wait. */
  get waiting() {
    return this.queue.length;
  }
}
