// @ts-check
/** The buttons under the picture, and the window in which keys are chosen. */
import { codeOf, codeOfKey } from "../timeline/input/record.mjs";
import { heldKeys, laneName } from "../model/variants.mjs";
import { element, update } from "../timeline/view/style.mjs";
import { NEVER } from "./input/held_inputs.mjs";

/** Pictures of the buttons, 16 by 16. @type {Record<string, string>} */
const ICONS = {
  play: '<path class="mg-solid" d="M4 2.5v11l9-5.5z"/>',
  pause: '<path class="mg-solid" d="M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z"/>',
  stop: '<path class="mg-solid" d="M3 3h10v10H3z"/>',
  record: '<circle class="mg-solid" cx="8" cy="8" r="5"/>',
  rewind: '<path d="M8 3 3 8l5 5M13 3 8 8l5 5"/>',
  reset: '<path d="M3 2.5v4h4M3.5 6.2A5.3 5.3 0 1 1 3 9.5"/>',
  change: '<path d="M10.5 3 13 5.5 6 12.5l-3.2.7.7-3.2zM9 4.5 11.5 7M8.5 13.5h5"/>',
  take: '<path d="M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10"/>',
  keys: '<path d="M1.5 4h13v8h-13zM4 6.7h.01M6.7 6.7h.01M9.3 6.7h.01M12 6.7h.01M5 9.5h6"/>',
  pad: '<circle cx="5" cy="8" r="3.2"/><circle cx="12" cy="8" r="2.2"/>',
  latch: '<path d="M5 7V5a3 3 0 0 1 6 0v2M3.5 7h9v6.5h-9z"/>',
  hud: '<path d="M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8z"/><circle cx="8" cy="8" r="1.8"/>',
  preview: '<path d="M1.5 5.5h8v7h-8zM9.5 12.5M4.5 2.5h10v8M12 8l2.5 2.5L12 13"/>',
  share: '<path d="M6.5 9.5 9.5 6.5M7.5 4.5 9 3a3 3 0 0 1 4 4l-1.5 1.5M8.5 11.5 7 13a3 3 0 0 1-4-4l1.5-1.5"/>',
  popout: '<path d="M9 2.5h4.5V7M13.5 2.5 8 8M6 3.5H2.5v10h10V10"/>',
  fullscreen: '<path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10"/>',
};
const LEFT = ["play", "stop", "record", "rewind", "reset", "change", "take"];
const RIGHT = ["keys", "pad", "latch", "hud", "preview", "share", "popout", "fullscreen"];

/** @typedef {import("./player.mjs").Player} Player */

export class Controls {
  /**
   * @param {Player} player @param {Record<string, () => void>} acts by name of the button
   * @param {(mode: string) => void} setMode
   */
  constructor(player, acts, setMode) {
    const { words } = player;
    /** @type {Record<string, HTMLButtonElement>} */
    this.buttons = {};
    const button = (/** @type {string} */ name) => {
      const made = element("button", {
        class: `mg-button${name === "record" ? " mg-rec" : ""}`,
        type: "button",
        "data-act": name,
        title: words(name),
        "aria-label": words(name),
      });
      made.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true">${ICONS[name]}</svg>`;
      made.addEventListener("click", () => acts[name]());
      this.buttons[name] = made;
      return made;
    };
    const modes = ["responsive", "faithful"].map((mode) => element("option", { value: mode }, words(`mode.${mode}`)));
    this.mode = element("select", { class: "mg-field", title: words("mode"), "aria-label": words("mode") }, ...modes);
    this.mode.addEventListener("change", () => setMode(this.mode.value));
    this.control = element(
      "button",
      { class: "mg-button mg-text", type: "button", "data-act": "control", onclick: acts.control },
      words("control"),
    );
    this.root = element(
      "div",
      { class: "mgp-bar", role: "toolbar" },
      ...LEFT.map(button),
      this.mode,
      this.control,
      element("span", { class: "mg-gap" }),
      ...RIGHT.map(button),
    );
    this.icon = "play";
  }

  /** @param {Player} player */
  draw(player) {
    const { state, words } = player;
    const playing = state.state === "playing";
    const icon = playing ? "pause" : "play";
    if (icon !== this.icon) {
      this.icon = icon;
      this.buttons.play.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true">${ICONS[icon]}</svg>`;
      update(this.buttons.play, { title: words(icon), "aria-label": words(icon) });
    }
    const open = player.connected && player.controller && state.state !== "finished";
    for (const name of ["play", "stop", "record"]) update(this.buttons[name], { disabled: !open });
    for (const name of ["rewind", "reset"]) update(this.buttons[name], { disabled: !open || !state.blocks });
    update(this.buttons.change, { disabled: !player.change.possible, hidden: player.welcome.changes?.length === 0 });
    update(this.buttons.take, { disabled: !player.kept && (!player.connected || !(state.blocks || state.branches)) });
    update(this.buttons.share, { disabled: !player.connected });
    update(this.buttons.record, { "aria-pressed": String(Boolean(state.recording)) });
    update(this.control, { hidden: !player.connected || player.controller || state.state === "finished" });
    update(this.mode, { disabled: !open });
    if (this.mode.value !== state.mode && state.mode) this.mode.value = state.mode;
    for (const name of ["pad", "latch", "hud", "preview"])
      update(this.buttons[name], { "aria-pressed": String(Boolean(player.shows[name])) });
    update(this.buttons.latch, { hidden: !player.shows.pad });
  }
}

/**
 * A window with a button for each key of the variant.
 * @param {Player} player @param {() => void} close @returns {HTMLElement}
 */
export function keysWindow(player, close) {
  const { inputs, words } = player;
  const root = element("div", { class: "mgp-keys", role: "dialog", "aria-label": words("keys") });
  const draw = () => {
    const rows = heldKeys(inputs.variant).map((lane) => {
      const own = Object.entries(inputs.own).find(([, key]) => key === lane)?.[0];
      const name = player.names.label(own ?? codeOf(inputs.variant, lane));
      const button = element("button", { class: "mg-button", type: "button", "data-bind": lane }, name);
      button.addEventListener("click", () => ask(lane, button));
      return element("div", { class: "mgp-row" }, element("span", {}, laneName(inputs.variant, lane, words)), button);
    });
    const ends = element(
      "div",
      { class: "mgp-row" },
      element(
        "button",
        { class: "mg-button", type: "button", onclick: () => (inputs.unbind(), draw()) },
        words("keys.reset"),
      ),
      element("button", { class: "mg-button", type: "button", onclick: close }, words("keys.close")),
    );
    root.replaceChildren(...rows, ends);
  };
  const ask = (/** @type {string} */ lane, /** @type {HTMLElement} */ button) => {
    button.textContent = words("keys.title", { lane: laneName(inputs.variant, lane, words) });
    button.addEventListener(
      "keydown",
      (event) => {
        event.preventDefault();
        event.stopPropagation();
        const code = codeOfKey(event);
        if (NEVER.test(code)) player.say(words("keys.refused", { code }));
        else if (code && !inputs.bind(lane, code)) player.say(words("keys.session"));
        draw();
      },
      { once: true },
    );
    button.focus();
  };
  draw();
  return root;
}
