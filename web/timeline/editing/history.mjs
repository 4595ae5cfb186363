// @ts-check
/** Undo and redo of our own; the graph's undo never sees a single edit of the timeline. */

/**
 * @template T
 * A stack of whole states. States are immutable and share what did not change, so 200 of them are cheap.
 */
export class History {
  /** @param {T} state @param {number} [limit] */
  constructor(state, limit = 200) {
    this.limit = limit;
    this.states = [state];
    this.at = 0;
  }

  /** Forget everything but `state`. @param {T} state */
  reset(state) {
    this.states = [state];
    this.at = 0;
  }

  get now() {
    return this.states[this.at];
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.states.length - 1;
  }

  /** Add a state after the present one; what was undone is gone. @param {T} state */
  push(state) {
    this.states.length = this.at + 1;
    this.states.push(state);
    if (this.states.length > this.limit + 1) this.states.shift();
    this.at = this.states.length - 1;
  }

  /** Forget the present state and what came after it; returns the one before. */
  drop() {
    this.states.length = Math.max(1, this.at);
    this.at = this.states.length - 1;
    return this.now;
  }
}
