// @ts-check
/**
 * One timeline on the page: puts editor, canvas, toolbar, script tab and windows together. No state lives in the DOM.
 */
import { VARIANTS, defaultVariant } from "../model/variants.mjs";
import { Banner } from "./parts/banner.mjs";
import { Editor } from "./editing/editor.mjs";
import { Foot } from "./parts/foot.mjs";
import { FocusProxy } from "./parts/focus.mjs";
import { barHost, focusHost, keyHost, menusOf, pointerHost } from "./hosts.mjs";
import { handleKey } from "./input/keys.mjs";
import { Pointers } from "./input/pointer.mjs";
import { codeOfKey } from "./input/record.mjs";
import { Popups } from "./parts/popups.mjs";
import { ScriptTab } from "./parts/script_tab.mjs";
import { Steering } from "./parts/steering.mjs";
import { element, linkStyle, update } from "./view/style.mjs";
import { Painter } from "./view/painter.mjs";
import { fetchPicture } from "./pictures/loaded.mjs";
import { drawFilm } from "./pictures/film.mjs";
import { PictureDesk } from "./pictures/desk.mjs";
import { Monitor } from "./pictures/monitor.mjs";
import { Toolbar } from "./parts/toolbar.mjs";
import { Room } from "./room.mjs";
import { keepTouches } from "./input/touch.mjs";
import { Transport } from "./input/transport.mjs";
import { FILM, minHeight } from "./view/view.mjs";
import { Windows } from "./parts/windows.mjs";

const BAR = 36; // the toolbar in one row
const FOOT = 28;

/**
 * @typedef {object} WidgetHost what the node gives
 * @property {() => string | null} variant that the node is set to
 * @property {import("./parts/i18n.mjs").Translate} words
 * @property {() => void} changed the value is another
 * @property {(variant: string) => void} setVariant set the node's own input
 * @property {(event: WheelEvent) => void} wheelToGraph
 * @property {(event: PointerEvent) => void} pointerToGraph
 * @property {(by?: number) => void} resized the least height is another, by so many pixels on the user's word
 * @property {import("./editing/presets.mjs").Shelf} presets that the user saved
 * @property {{read: () => object, write: (recording: object) => void}} recording how it begins
 * @property {() => HTMLElement[]} players of the graph that the node is in
 * @property {import("./menus/files.mjs").Server} files what reads and writes them
 * @property {{read: () => object, write: (settings: object) => void}} settings how the user likes to look at pictures
 */

export class TimelineWidget {
  /** @param {WidgetHost} host */
  constructor(host) {
    linkStyle();
    const { words } = host;
    this.host = host;
    this.words = words;
    this.bars = BAR;
    this.complaint = "";
    /** Takes a value over that something else keeps, where that is so. @type {(() => void) | null} */
    this.sync = null;
    this.editor = new Editor(host.variant() ?? defaultVariant().name, words);
    this.editor.nodeVariant = host.variant;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.stage = element("div", { class: "mg-stage", dir: "ltr" }, this.canvas);
    this.foot = new Foot(this.editor, words);
    this.live = element("div", { class: "mg-live", "aria-live": "polite", role: "status" });
    this.tab = /** @type {"lanes"|"script"} */ ("lanes");
    this.root = element("div", {
      class: "mg-timeline",
      "data-capture-wheel": "true",
      role: "group",
      "aria-label": words("live.label"),
    });
    this.proxy = new FocusProxy(focusHost(this), {
      "aria-label": words("live.label"),
      "aria-roledescription": words("live.role"),
      "aria-description": words("live.help"),
    });
    this.painter = new Painter(this.canvas, this.root, this.editor, words);
    this.pictures = new PictureDesk(this.editor, {
      fetchPicture,
      changed: () => this.looksOther(),
      arrived: () => this.redraw(),
      settings: host.settings,
    });
    this.picturesTake = this.pictures.height;
    this.monitor = new Monitor(this.pictures, words, (x) => this.menus.files.openResults(x));
    this.room = new Room(this.root, words, {
      players: host.players,
      changed: (open) => this.moved(open),
    });
    this.popups = new Popups(this.root, this.stage, words, () => this.proxy.focus());
    this.windows = new Windows(this.editor, this.popups, words, this.pictures, {
      paste: (text) => this.paste(text),
      complain: (message) => this.complain(message),
      presets: (x, y) => this.menus.presets.open(x, y),
      files: (x, y) => this.menus.files.open(x, y),
    });
    this.menus = menusOf(this);
    this.menus.files.listen(this.root);
    this.popups.pointed = (id) => this.pointed(id);
    this.script = new ScriptTab(this.editor, words);
    this.banner = new Banner(this.editor, words, { setVariant: host.setVariant });
    this.transport = new Transport(this.editor, (running) => this.ranTransport(running));
    this.steering = new Steering(this.editor, this.transport, this.canvas, this.stage);
    this.bar = new Toolbar(this.editor, barHost(this), words);
    this.pointers = new Pointers(this.canvas, this.editor, pointerHost(this));
    this.stage.append(this.script.root, this.banner.problem);
    this.root.append(this.proxy.area, this.bar.root, this.banner.root, this.monitor.root);
    this.root.append(this.stage, this.foot.root, this.live);
    // Old Safari and Firefox need no more than this to keep our focus out of the graph's hands.
    /** @type {any} */ (this.root).blur = () => this.proxy.blur();
    this.editor.listeners.push((what, text) => this.heard(what, text));
    this.listen();
  }

  listen() {
    this.frame = 0;
    this.sizes = new ResizeObserver(() => this.sized());
    for (const node of [this.stage, this.bar.root, this.banner.root]) this.sizes.observe(node);
    this.palette = new MutationObserver(() => this.retheme());
    const looks = { attributeFilter: ["class", "style"] };
    for (const node of [document.body, document.documentElement]) this.palette.observe(node, looks);
    this.root.addEventListener("keydown", (event) => this.guard(event));
    this.releaseTouches = keepTouches(this.root);
    /** @type {string} */
    this.least = "";
  }

  /** Let go of the page for good. */
  dispose() {
    this.transport.stop();
    this.room.leave();
    this.pictures.end();
    this.sizes?.disconnect();
    this.palette?.disconnect();
    this.steering.dispose();
    this.releaseTouches?.();
    this.proxy.dispose();
  }

  /**
   * Keys typed into our fields stay out of the graph, but for those that queue or save: what was typed is then taken.
   * @param {KeyboardEvent} event
   */
  guard(event) {
    if (event.ctrlKey || event.metaKey) this.script.settle();
    else if (event.target !== this.proxy.area) event.stopPropagation();
  }

  // ---- the value

  get value() {
    return this.editor.text;
  }

  set value(text) {
    if (text === this.editor.text) return;
    this.transport.stop();
    this.editor.load(String(text ?? ""));
    this.editor.view.all = true;
    if (this.editor.scriptError) this.showTab("script");
    this.redraw();
  }

  /** What a run is given: the document, or the text that the server shall refuse with its own message. */
  get sent() {
    const { editor } = this;
    return editor.scriptError && editor.doc.source ? editor.doc.source.text : editor.text;
  }

  /** @param {string} variant of the node */
  setVariant(variant) {
    if (Object.hasOwn(VARIANTS, variant)) this.editor.want(variant);
    this.host.resized();
    this.redraw();
  }

  /**
   * A run of this document has ended: its blocks are up to date.
   * @param {import("../model/document.mjs").Timeline} doc
   */
  rendered(doc) {
    this.editor.rendered = doc;
    this.redraw();
  }

  get minHeight() {
    return this.bars + FOOT + minHeight(this.editor.doc.variant) + this.pictures.height;
  }

  // ---- what the parts ask for

  /** @param {KeyboardEvent} event */
  keydown(event) {
    const { take } = this.transport;
    const plays = take && event.key !== "Escape" && !event.ctrlKey && !event.metaKey && !event.altKey;
    if ((plays && (event.repeat || take.down(codeOfKey(event)))) || this.popups.key(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    handleKey(this.editor, event, keyHost(this));
  }

  /** @param {number} x */
  showBranches(x) {
    this.editor.settle();
    if (this.tab === "lanes") this.proxy.focus();
    this.windows.branches(x, 0);
  }

  /** The keyboard is at another item of a menu. @param {string} id */
  pointed(id) {
    update(this.proxy.area, { "aria-activedescendant": id });
    if (id) this.live.textContent = this.root.querySelector(`#${id} span`)?.textContent ?? "";
  }

  /** @returns {boolean} whether there was something to close */
  escape() {
    const { editor } = this;
    if (this.transport.running) this.transport.stop();
    else if (this.popups.close()) return true;
    else if (editor.ramp || editor.selection) {
      editor.ramp = editor.selection = editor.anchor = null;
      editor.emit("view");
    } else return this.room.leave();
    return true;
  }

  /** @param {boolean} on */
  focusChanged(on) {
    this.root.classList.toggle("mg-focused", on);
    if (!on && this.transport.take) {
      this.transport.take.release();
      window.setTimeout(() => !this.root.contains(document.activeElement) && this.transport.stop());
    }
    this.redraw();
  }

  /** @param {string} text */
  paste(text) {
    const wrong = this.editor.paste(text);
    if (wrong !== null) this.complain(this.words("paste.bad", { message: wrong.split("\n")[0] }));
  }

  /** The row of the lanes under a pointer, null elsewhere. @param {PointerEvent} event */
  rowUnder(event) {
    const box = this.canvas.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX < box.right;
    if (!inside || event.clientY < box.top || event.clientY >= box.bottom) return null;
    const { x, y } = this.pointers.point(event);
    const hit = this.editor.view.hit(this.editor.doc, x, y);
    return hit.header ? null : hit.t;
  }

  /** Say something good until the next edit. @param {string} message */
  tell(message) {
    this.editor.told = message;
    this.live.textContent = message;
    this.redraw();
  }

  /** Show a message until the next edit. @param {string} message */
  complain(message) {
    this.complaint = message;
    this.live.textContent = message;
    this.redraw();
  }

  /** @param {boolean} record @param {boolean} touch */
  play(record, touch) {
    const { editor, transport } = this;
    if (transport.running) {
      transport.stop();
      return;
    }
    if (record && !editor.armed.size) for (const lane of editor.lanes) editor.armed.add(lane.id);
    const recording = editor.armed.size > 0;
    this.proxy.focus();
    transport.start(recording);
    if (transport.take) this.steering.begin(touch);
  }

  /** @param {boolean} running */
  ranTransport(running) {
    if (!running) this.steering.end();
    this.redraw();
  }

  /** @param {"lanes"|"script"} tab */
  showTab(tab) {
    if (tab === this.tab) return;
    this.tab = tab;
    this.popups.close(false);
    this.transport.stop();
    this.script.show(tab === "script");
    if (tab === "lanes") this.proxy.focus();
    this.redraw();
  }

  // ---- showing

  /** @param {"edit"|"view"|"say"} what @param {string} [text] */
  heard(what, text) {
    if (what === "say") {
      this.live.textContent = text ?? "";
      return;
    }
    if (what === "edit") {
      this.complaint = this.editor.told = "";
      this.host.resized();
      this.host.changed();
      void this.pictures.askOther();
    }
    this.pictures.keep();
    this.redraw();
  }

  /** Another size: of the node, or of the bars, which wrap where it is narrow. */
  sized() {
    const styled = this.root.isConnected && getComputedStyle(this.root).display === "flex";
    const bars = styled
      ? Math.max(BAR, Math.min(4 * BAR, this.bar.root.offsetHeight + this.banner.root.offsetHeight))
      : BAR;
    if (bars !== this.bars) {
      this.bars = bars;
      this.host.resized();
    }
    this.draw();
  }

  /** Pictures are looked at in another way: what they take is given and given back. */
  looksOther() {
    const takes = this.pictures.height;
    this.host.resized(takes - this.picturesTake);
    this.picturesTake = takes;
    this.redraw();
  }

  /** It is in the room now, or back in its node. @param {boolean} open */
  moved(open) {
    this.pictures.inRoom = open;
    this.editor.view.all = true;
    this.redraw();
    this.proxy.focus();
  }

  /** Draw at the next frame. */
  redraw() {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  retheme() {
    this.painter.retheme();
    this.redraw();
  }

  /** Draw if the graph's zoom changed what a pixel is. */
  checkScale() {
    if (this.painter.blurred) this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frame ?? 0);
    this.frame = 0;
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    // Sizes are read before anything is written, or each frame would lay the page out twice.
    if (width && height && this.root.isConnected) this.paint(width, height);
    this.refresh();
  }

  /** @param {number} width @param {number} height */
  paint(width, height) {
    const { pictures } = this;
    this.editor.view.film = pictures.film ? FILM : 0;
    /** @type {import("./view/draw.mjs").Picture["film"]} */
    const film = pictures.film ? (ctx, p) => drawFilm(ctx, p, (block) => pictures.ofFilm(block)) : null;
    this.painter.paint(width, height, { focused: this.proxy.focused, warnings: this.foot.warnings, film });
    pictures.filmDrawn();
    this.monitor.draw(this.painter.theme);
  }

  /** What is not on the canvas. */
  refresh() {
    const least = `${this.minHeight}px`;
    if (this.least !== least) this.root.style.setProperty("--mg-min-height", (this.least = least));
    this.bar.refresh();
    this.banner.refresh();
    this.script.refresh();
    const { take, from, prelude } = this.transport;
    this.foot.refresh(this.complaint, take ? from : null, prelude);
  }
}
