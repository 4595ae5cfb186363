// @ts-check
/**
 * A room: the timeline with its picture, and the players of the graph, over the whole page. They are the elements of
 * the nodes themselves, which go back when it is left.
 */
import { element } from "./view/style.mjs";

/** @typedef {import("./parts/i18n.mjs").Translate} Translate */

export class Room {
  /**
   * @param {HTMLElement} root of the timeline @param {Translate} words
   * @param {{players: () => HTMLElement[], changed: (open: boolean) => void}} host players: of the same graph
   */
  constructor(root, words, host) {
    this.root = root;
    this.words = words;
    this.host = host;
    /** @type {HTMLElement | null} */
    this.shell = null;
    /** What stands in nodes for what is here. @type {{element: HTMLElement, stand: HTMLElement}[]} */
    this.away = [];
  }

  get isOpen() {
    return this.shell !== null;
  }

  toggle() {
    if (this.isOpen) this.leave();
    else this.enter();
  }

  enter() {
    if (this.isOpen || !this.root.isConnected) return;
    const { words } = this;
    const players = this.host.players().filter((player) => player.isConnected);
    const button = (/** @type {string} */ key, /** @type {() => void} */ run) =>
      element("button", { class: "mg-button mg-text", type: "button", "data-act": key, onclick: run }, words(key));
    const body = element("div", { class: "mg-room-body" });
    const shell = element(
      "div",
      { class: "mg-room", role: "dialog", "aria-label": words("room.title") },
      element(
        "div",
        { class: "mg-room-head" },
        element("span", {}, words("room.title")),
        button("room.full", () => this.fill()),
        button("room.leave", () => this.leave()),
      ),
      body,
    );
    // what is typed here is nobody's but ours; keys that queue or save still are the page's
    shell.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.leave();
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
    });
    this.away = [this.root, ...players].map((each) => ({ element: each, stand: this.standFor(each) }));
    if (players.length) body.append(element("div", { class: "mg-room-players" }, ...players));
    body.append(this.root);
    this.shell = document.body.appendChild(shell);
    this.host.changed(true);
  }

  /** What a node shows while its element is away. @param {HTMLElement} away */
  standFor(away) {
    const stand = element("div", { class: "mg-stand" }, this.words("room.away"));
    stand.addEventListener("click", () => this.leave());
    away.replaceWith(stand);
    return stand;
  }

  /** @returns {boolean} whether it was open */
  leave() {
    const { shell } = this;
    if (!shell) return false;
    this.shell = null;
    if (document.fullscreenElement === shell) void document.exitFullscreen().catch(() => {});
    for (const { element: each, stand } of this.away) stand.replaceWith(each);
    this.away = [];
    shell.remove();
    this.host.changed(false);
    return true;
  }

  /** The whole screen, and back; where a browser has none, it stays as wide as the page. */
  fill() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else this.shell?.requestFullscreen?.().catch(() => {});
  }
}
