// @ts-check
/**
 * A line over the picture while nothing new comes: that a block is being made, or what was asked for comes after it.
 */
import { element, update } from "../../timeline/view/style.mjs";

const WAIT_MS = 1000;

export class Busy {
  constructor() {
    this.text = element("span", {});
    this.root = element("div", { class: "mgp-busy", role: "status", hidden: true }, element("i", {}), this.text);
    /** Since when no picture has come, in milliseconds. */
    this.since = 0;
    this.any = false;
    /** What was asked for, and has not come yet. @type {"" | "pause" | "stop"} */
    this.asked = "";
  }

  /** Playing begins. @param {number} now milliseconds */
  begin(now) {
    this.since = now;
    this.any = false;
    this.asked = "";
  }

  /** A picture was shown. @param {number} now milliseconds */
  painted(now) {
    this.since = now;
    this.any = true;
  }

  /** @param {import("../player.mjs").Player} player */
  draw({ state, connected, words }) {
    if (state.state !== "playing") this.asked = "";
    const waits = state.state === "playing" && connected && performance.now() - this.since > WAIT_MS;
    const what = this.asked || (waits ? (this.any ? "next" : "first") : "");
    update(this.root, { hidden: !what });
    if (what) update(this.text, { text: words(`busy.${what}`) });
  }
}
