// @ts-check
/** What stands over the picture while nothing is played: the state, and what it is for or how to go on. */
import { heldKeys } from "../../model/variants.mjs";
import { element, update } from "../../timeline/view/style.mjs";

/** @typedef {import("../player.mjs").Player} Player */

/**
 * The state as the one who looks sees it: also that there is no session, or that another player steers.
 * @param {Player} player
 */
export function shownState({ connected, refused, controller, state: { state } }) {
  if (!connected && refused) return "refused";
  if (!connected) return ["finished", "connecting"].includes(state) ? state : "away";
  return controller || state === "finished" ? state : "watching";
}

export class Message {
  constructor() {
    this.root = element("div", { class: "mgp-message" });
  }

  /** @param {Player} player @param {string} shown */
  draw(player, shown) {
    const { words, state, inputs } = player;
    update(this.root, { hidden: shown === "playing" || (shown === "watching" && state.state === "playing") });
    const keys = heldKeys(inputs.variant)
      .map((lane) => player.keyName(lane))
      .join(" ");
    const take = state.state === "finished" && state.blocks ? words("take.where") : "";
    const reason = [state.reason ? words(`reason.${state.reason}`) : "", take].filter(Boolean).join(" · ");
    const hint = shown === "ready" ? words(inputs.variant.mouse ? "help" : "help.plain", { keys }) : reason;
    this.root.replaceChildren(element("span", {}, words(`state.${shown}`)), element("small", {}, hint));
  }
}
