// @ts-check
/** The panel in which the picture is changed while play is paused: it goes out as a file, and another comes back. */
import { element, update } from "../../timeline/view/style.mjs";
import { saveFile } from "../view/save.mjs";
import { fitted, pictureIn } from "./fitted.mjs";

const STRENGTHS = { min: "0", max: "3", step: "0.05", value: "1" };

/** @typedef {import("../player.mjs").Player} Player */
/**
 * What a graph around the player can do with pictures; each says in a sentence what came of it.
 * @typedef {object} Graph
 * @property {(picture: Blob) => Promise<string>} send into the graph
 * @property {() => Promise<Blob | string>} fetch the newest one, or why there is none
 */

export class ChangePanel {
  /** @param {Player} player */
  constructor(player) {
    this.player = player;
    /** The picture now, and the one that is to be. @type {Blob | null} */
    this.now = null;
    /** @type {Blob | null} */
    this.next = null;
    this.wanted = false; // as soon as play is paused
    this.busy = false;
    const { words } = player;
    const button = (/** @type {string} */ name, /** @type {() => unknown} */ act) =>
      element(
        "button",
        { class: "mg-button mg-text", type: "button", "data-change": name, onclick: act },
        words(`change.${name}`),
      );
    this.file = element("input", { type: "file", accept: "image/*", hidden: true, "data-change": "file" });
    this.file.addEventListener("change", () => {
      if (this.file.files?.[0]) this.take(this.file.files[0]);
      this.file.value = "";
    });
    this.picture = element("img", { alt: "" });
    this.urls = [""]; // of what it shows
    this.caption = element("figcaption");
    this.strength = element("input", { type: "range", "aria-label": words("change.strength"), ...STRENGTHS });
    this.number = element("output", {}, "1");
    this.strength.addEventListener("input", () => update(this.number, { text: String(Number(this.strength.value)) }));
    this.seen = element("select", { class: "mg-field", "aria-label": words("change.seen") });
    this.seenRow = element("label", { class: "mgp-row" }, words("change.seen"), this.seen);
    this.blind = element("small", {}, words("change.blind"));
    this.note = element("p", { role: "status" });
    this.apply = button("apply", () => this.change());
    this.undo = button("undo", () => this.takeBack());
    const { graph } = player.options;
    const hosted = graph ? [button("send", () => this.send(graph)), button("fetch", () => this.fetch(graph))] : [];
    for (const each of hosted) each.title = words(`change.${each.dataset.change}.title`);
    this.root = element(
      "div",
      { class: "mgp-change", role: "dialog", "aria-label": words("change.title"), tabindex: "-1" },
      element("strong", {}, words("change.title")),
      element("figure", {}, this.picture, this.caption),
      element(
        "div",
        { class: "mgp-row" },
        button("save", () => this.now && saveFile(this.now, "picture.png")),
        button("choose", () => this.file.click()),
        ...hosted,
      ),
      this.file,
      element("small", {}, words("change.hint")),
      element("label", { class: "mgp-row" }, words("change.strength"), this.strength, this.number),
      this.seenRow,
      this.blind,
      this.note,
      element(
        "div",
        { class: "mgp-row" },
        this.apply,
        button("cancel", () => this.close()),
        this.undo,
      ),
    );
    // before the graph's own, which would make a node of it
    this.pasted = (/** @type {ClipboardEvent} */ event) => {
      const file = pictureIn(event.clipboardData);
      if (!file) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      this.take(file);
    };
    this.listen();
  }

  listen() {
    const { root } = this;
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      event.stopPropagation(); // neither the player nor the graph has a use for them
    });
    for (const kind of ["dragenter", "dragover", "drop"])
      root.addEventListener(kind, (event) => {
        event.preventDefault();
        event.stopPropagation();
        const file = kind === "drop" && pictureIn(/** @type {DragEvent} */ (event).dataTransfer);
        if (file) this.take(file);
      });
  }

  get isOpen() {
    return this.root.isConnected;
  }

  /** Whether the picture can be changed where the world stands, or once it is paused. */
  get possible() {
    const { state, welcome, mayPlay } = this.player;
    return mayPlay && Boolean(welcome.changes?.length) && (state.next > 0 || state.state === "playing");
  }

  /** Open it, or close it; play pauses first. */
  toggle() {
    if (this.isOpen) return this.close();
    this.wanted = true;
    if (this.player.playing) this.player.pause();
    this.draw();
  }

  close() {
    this.wanted = false;
    if (!this.isOpen) return;
    this.root.remove();
    window.removeEventListener("paste", this.pasted, true);
    this.player.link.say("wait", { on: false });
    this.show(null, "");
    this.player.proxy.focus();
  }

  /** Follow what the session says: it opens once play is paused, and goes where there is nothing to change. */
  draw() {
    const { state } = this.player.state;
    if (this.wanted && state !== "playing") {
      this.wanted = false;
      if (this.possible) this.open();
    }
    if (this.isOpen && (!this.possible || state === "playing")) this.close();
    update(this.undo, { hidden: !this.player.state.changed, disabled: this.busy });
    update(this.apply, { disabled: this.busy || !this.next });
  }

  open() {
    const { player } = this;
    const seen = /** @type {string[]} */ (player.welcome.changes);
    this.seen.replaceChildren(
      ...seen.map((each) => element("option", { value: each }, player.words(`change.seen.${each}`))),
    );
    update(this.seenRow, { hidden: seen.length < 2 });
    update(this.blind, { hidden: seen.length > 1 || !player.options.graph });
    Object.assign(this.strength, { value: "1" });
    update(this.number, { text: "1" });
    player.root.append(this.root);
    window.addEventListener("paste", this.pasted, true);
    player.link.say("wait", { on: true });
    this.root.focus();
    this.look();
  }

  /** Get the picture as it is now, to the bit. */
  async look() {
    this.next = null;
    this.now = null;
    await this.during(async () => {
      const { png } = await this.player.link.ask("picture");
      const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
      this.now = new Blob([bytes], { type: "image/png" });
      this.show(this.now, this.player.words("change.now"));
    });
  }

  /** A picture came from somewhere. @param {Blob} file */
  async take(file) {
    const { words, welcome } = this.player;
    try {
      const { width, height, how, clear, file: fit } = await fitted(file, [welcome.width, welcome.height]);
      if (!this.isOpen) return;
      this.next = fit;
      this.show(fit, words("change.new"));
      const size = how && words(`change.${how}`, { width, height, to: `${welcome.width}x${welcome.height}` });
      this.say([size, clear && words("change.clear")].filter(Boolean).join(" · "));
    } catch {
      this.say(words("change.none"));
    }
    this.draw();
  }

  async change() {
    const { link, words, state } = this.player;
    const picture = this.next;
    if (!picture) return;
    const [strength, seen, before] = [Number(this.strength.value), this.seen.value, state.changed];
    await this.during(async () => {
      const data = new Uint8Array(await picture.arrayBuffer());
      await link.ask("change", { strength, seen, picture: data.length }, data);
      const said = words(this.player.state.changed > before ? "change.done" : "change.same");
      this.close();
      this.player.say(said);
    });
  }

  async takeBack() {
    await this.during(async () => {
      await this.player.link.ask("change", { picture: 0 });
      await this.look();
      this.say(this.player.words("change.undone"));
    });
  }

  /** @param {Graph} graph */
  async send(graph) {
    const picture = this.now;
    if (picture) await this.during(async () => this.say(await graph.send(picture)));
  }

  /** @param {Graph} graph */
  async fetch(graph) {
    await this.during(async () => {
      const found = await graph.fetch();
      if (typeof found === "string") this.say(found);
      else await this.take(found);
    });
  }

  /** Do something that takes a moment; what goes wrong is said. @param {() => Promise<void>} work */
  async during(work) {
    const { activeElement: at } = document;
    this.root.focus(); // a button that is disabled would lose it, and Escape with it
    this.busy = true;
    this.say(this.player.words("change.loading"));
    this.draw();
    try {
      await work();
      if (this.note.textContent === this.player.words("change.loading")) this.say("");
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    }
    this.busy = false;
    this.draw();
    if (this.root.contains(at)) /** @type {HTMLElement} */ (at).focus();
  }

  /**
   * Over the picture as it is now, which is seen where it is transparent.
   * @param {Blob | null} picture
   * @param {string} caption
   */
  show(picture, caption) {
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [picture, picture && this.now].map((each) => (each ? URL.createObjectURL(each) : ""));
    const [url, under] = this.urls;
    if (url) this.picture.src = url;
    else this.picture.removeAttribute("src");
    this.picture.style.backgroundImage = under && `url(${under})`;
    update(this.picture, { alt: caption });
    update(this.caption, { text: caption });
  }

  /** @param {string} text */
  say(text) {
    update(this.note, { text });
  }
}
