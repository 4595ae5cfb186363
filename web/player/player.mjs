// @ts-check
/** The live player: one element with the picture, the display over it, the buttons and the read-outs. */
import { VARIANTS, addVariant, defaultVariant, laneName } from "../model/variants.mjs";
import { FocusProxy } from "../timeline/parts/focus.mjs";
import { touchPad } from "../timeline/parts/pad.mjs";
import { keepTouches } from "../timeline/input/touch.mjs";
import { element, linkStyle, update } from "../timeline/view/style.mjs";
import { actsOf } from "./acts.mjs";
import { Busy } from "./view/busy.mjs";
import { ChangePanel } from "./change/panel.mjs";
import { Controls, keysWindow } from "./controls.mjs";
import { codeOfKey } from "../timeline/input/record.mjs";
import { Hud } from "./view/hud.mjs";
import { PlayerInputs } from "./input/held_inputs.mjs";
import { KeyNames } from "./input/key_names.mjs";
import { Link } from "./link.mjs";
import { Look } from "./input/look.mjs";
import { Message, shownState } from "./view/message.mjs";
import { Pictures } from "./pictures.mjs";
import { Preview, choose, wanted } from "./view/preview.mjs";
import { Readouts } from "./view/readouts.mjs";
import { saveTake } from "./view/save.mjs";
import { touched } from "./input/touch_keys.mjs";
import { translator } from "./view/words.mjs";

const READOUT_MS = 250;

/**
 * @typedef {object} Options
 * @property {string} url of the socket
 * @property {string} token
 * @property {string} [locale]
 * @property {(timeline: any) => void} [onTake] what becomes of a take; by default it is saved as a file
 * @property {import("./change/panel.mjs").Graph} [graph] around the player, where there is one
 */

export class Player {
  /** @param {Options} options */
  constructor(options) {
    linkStyle();
    linkStyle(new URL("./player.css", import.meta.url).href);
    this.options = options;
    this.words = translator(options.locale ?? "en");
    this.connected = false;
    this.refused = false;
    this.controller = false;
    /** The take of a session that is over. @type {any} */
    this.kept = null;
    /** What the session said of itself when it was joined. @type {Record<string, any>} */
    this.welcome = { variant: defaultVariant().name, most: null, finishes: false };
    /** What the session last said of itself. @type {Record<string, any>} */
    this.state = { state: "connecting", reason: "", blocks: 0, branches: 0, recording: false, mode: "" };
    this.shows = /** @type {Record<string, boolean>} */ ({
      hud: true,
      preview: wanted(),
      pad: matchMedia("(pointer: coarse)").matches,
      latch: false,
    });
    this.inputs = new PlayerInputs(defaultVariant());
    this.names = new KeyNames();
    this.readouts = new Readouts();
    /** Where the player stands while it is over the whole page. @type {Comment | undefined} */
    this.home = undefined;
    const { words } = this;
    this.pictures = new Pictures(
      (number) => this.link.say("ack", { batch: number }),
      (ratio) => this.stage.style.setProperty("--mgp-ratio", String(ratio)),
    );
    this.preview = new Preview();
    this.message = new Message();
    this.busy = new Busy();
    const layers = [this.pictures.canvas, this.preview.canvas, this.message.root, this.busy.root];
    this.stage = element("div", { class: "mgp-stage" }, ...layers);
    this.controls = new Controls(this, actsOf(this), (mode) => this.link.say("mode", { mode }));
    this.change = new ChangePanel(this);
    this.numbers = element("span", { class: "mgp-numbers" });
    this.note = element("span", { class: "mgp-note" });
    this.live = element("div", { class: "mg-live", "aria-live": "polite" });
    this.root = element(
      "div",
      { class: "mg-player", role: "region", "aria-label": words("label") },
      this.stage,
      this.controls.root,
      element("div", { class: "mgp-foot" }, this.numbers, this.note),
      this.live,
    );
    this.proxy = new FocusProxy(
      {
        root: this.root,
        keydown: (event) => this.keydown(event),
        keyup: (event) => this.keyup(event),
        changed: (focused) => focused || this.letGo(),
        copy: () => "",
        cut: () => {},
        paste: () => {},
      },
      { "aria-label": words("label") },
    );
    this.stage.append(this.proxy.area);
    this.look = new Look(this.stage, {
      playing: () => this.playing,
      move: (dx, dy) => this.inputs.move(dx, dy),
      lost: () => this.pause(),
      refused: () => this.say(words("lock.refused")),
    });
    this.setVariant(defaultVariant().name);
    this.leaving = () => this.letGo();
    this.hiding = () => {
      if (document.hidden) this.pause();
    };
    this.listen();
    this.link = new Link(options.url, options.token, {
      message: (message) => this.hear(message),
      frames: (head, blobs) => this.receive(head, blobs),
      changed: (open, code) => this.changed(open, code),
      lost: words("change.lost"),
    });
    this.readAt = 0;
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  listen() {
    this.stage.addEventListener("click", () => this.clicked());
    window.addEventListener("blur", this.leaving);
    window.addEventListener("pagehide", this.leaving);
    document.addEventListener("visibilitychange", this.hiding);
    this.stopTouches = keepTouches(this.root);
  }

  // ---- playing

  get playing() {
    return this.state.state === "playing" && this.controller && this.connected;
  }

  get mayPlay() {
    return this.controller && this.connected && this.state.state !== "finished";
  }

  /** A click on the picture: play, and catch the mouse. */
  clicked() {
    if (!this.mayPlay) return;
    this.proxy.focus();
    if (!this.playing) this.link.say("play");
    if (this.inputs.variant.mouse) this.look.lock();
  }

  play() {
    this.proxy.focus();
    this.link.say("play");
  }

  pause() {
    this.letGo();
    this.look.unlock();
    if (this.playing) this.ask("pause");
  }

  /**
   * Ask for an end of playing: it comes with the end of the block that is being made, and is seen to come at once.
   * @param {"pause" | "stop"} what
   */
  ask(what) {
    this.link.say(what);
    if (this.state.state === "playing") this.busy.asked = what;
    this.busy.draw(this);
  }

  /** @param {number} blocks */
  rewind(blocks) {
    this.link.say("rewind", { blocks });
  }

  /** Nothing is held any more, and the session hears of it at once. */
  letGo() {
    this.inputs.release();
    this.pump(performance.now());
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    const code = codeOfKey(event);
    if (code === "Escape" && this.playing) this.pause();
    else if (code === "Backspace") {
      if (!event.repeat) this.rewind(1);
    } else if (event.ctrlKey || event.altKey || event.metaKey || !this.inputs.action(code)) return;
    else if (this.playing ? !this.inputs.held.has(code) : !event.repeat && this.mayPlay) {
      // the key that begins to play is held like any other, and one that was held before the click counts from now on
      const { playing } = this;
      if (!playing) this.play();
      this.inputs.down(code);
      this.pump(event.timeStamp);
      if (playing) this.readouts.pressed(this.inputs.seq, event.timeStamp);
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {KeyboardEvent} event */
  keyup(event) {
    const code = codeOfKey(event);
    if (/^(Meta|OS)/.test(code)) this.inputs.release(); // macOS swallows what is let go of meanwhile
    this.inputs.up(code);
    this.pump(event.timeStamp);
  }

  /** Say what is held, where that is news. @param {number} now milliseconds */
  pump(now) {
    if (!this.link?.ready || !this.controller) return;
    const snapshot = this.inputs.snapshot(now);
    if (snapshot) this.link.say("in", snapshot);
    if (snapshot) this.preview.told(snapshot, this.inputs.variant);
    this.hud?.echo(this.inputs);
  }

  // ---- what the session says

  /** @param {boolean} open @param {number} code */
  changed(open, code) {
    this.connected = open;
    this.refused = code === 4401;
    this.setRole(open && this.controller);
    if (!open) this.readouts.clear();
    this.draw();
  }

  /** @param {boolean} controller whether we steer now; what is held by one who does not is let go of */
  setRole(controller) {
    if (this.controller && !controller) {
      this.inputs.release();
      this.look.unlock();
    }
    this.controller = controller;
  }

  /** @param {any} message */
  hear(message) {
    const { words } = this;
    if (message.type === "welcome") {
      this.welcome = message;
      if (message.description) addVariant(message.description);
      this.setVariant(message.variant);
    } else if (message.type === "state") this.setState(message);
    else if (message.type === "roles") this.setRole(message.role === "controller");
    else if (message.type === "stats") this.readouts.transport = message.transport;
    else if (message.type === "take") (this.options.onTake ?? saveTake)(message.timeline);
    if (message.type === "state" && message.state !== "playing") this.say(words(`state.${message.state}`));
    this.draw();
  }

  /** @param {Record<string, any>} state */
  setState(state) {
    const before = this.state;
    this.state = state;
    if (state.blocks < before.blocks) this.say(this.words("say.rewound", { block: state.blocks }));
    if (state.state === "playing" && before.state !== "playing") {
      this.pictures.pacer.restart();
      this.busy.begin(performance.now());
    }
    if (state.state !== "playing" && before.state === "playing") {
      this.inputs.release();
      this.look.unlock();
      this.readouts.clear();
    }
  }

  /** @param {import("./link.mjs").FramesHead} head @param {Blob[]} blobs */
  async receive(head, blobs) {
    if (!head.still) this.readouts.came(head);
    if (!(await this.pictures.receive(head, blobs))) return;
    if (head.still) this.preview.rest();
    if (head.still) this.hud?.show([], [0, 0]);
    else this.state.blocks = Math.max(this.state.blocks, head.block + Number(head.part === 2));
  }

  // ---- drawing

  /** @param {number} now */
  tick(now) {
    this.frame = requestAnimationFrame((next) => this.tick(next));
    if (this.playing) {
      const { unknownPad } = this.inputs;
      this.inputs.pollGamepad(navigator.getGamepads?.() ?? []);
      if (this.inputs.unknownPad && this.inputs.unknownPad !== unknownPad)
        this.say(this.words("pad.unknown", { name: this.inputs.unknownPad }));
      this.pump(now);
    }
    const picture = this.pictures.pacer.due(performance.now());
    if (picture) {
      this.pictures.paint(picture.bitmap);
      this.busy.painted(now);
      this.hud?.show(picture.keys, picture.camera);
      this.shownFrame = picture.number;
      this.readouts.painted(picture.seq, performance.now());
      this.preview.answer(picture.seq);
    }
    this.preview.draw(this.pictures.canvas, this.shows.preview && this.playing && !this.state.recording, now);
    if (now - this.readAt > READOUT_MS) {
      this.readAt = now;
      this.drawNumbers();
      this.busy.draw(this);
    }
  }

  draw() {
    const { words, state } = this;
    update(this.root, { "data-state": state.state });
    const shown = shownState(this);
    this.message.draw(this, shown);
    const held = this.welcome.finishes && state.state !== "finished";
    update(this.note, { text: held ? words("queue.held") : shown === "watching" ? words("state.watching") : "" });
    this.controls.draw(this);
    this.change.draw();
    this.drawNumbers();
  }

  drawNumbers() {
    const { blocks, state } = this.state;
    const now = { blocks, most: this.welcome.most, playing: state === "playing", dropped: this.pictures.pacer.dropped };
    update(this.numbers, { text: this.readouts.line(this.words, now) });
  }

  /** A line for screen readers and below the picture. @param {string} text */
  say(text) {
    update(this.live, { text });
  }

  // ---- what is shown

  /** @param {string} name */
  setVariant(name) {
    if (!VARIANTS[name]) this.say(this.words("variant.unknown", { name }));
    this.inputs = new PlayerInputs(VARIANTS[name] ?? defaultVariant());
    this.hud?.root.remove();
    this.hud = new Hud(this.inputs.variant, (lane) => this.keyName(lane));
    this.preview.canvas.after(this.hud.root);
    this.buildPad();
    this.names.ask(() => this.hud?.label());
  }

  buildPad() {
    this.pad?.remove();
    this.pad = touchPad(
      this.inputs.variant,
      (lane) => laneName(this.inputs.variant, lane, this.words),
      () => touched(this),
    );
    this.stage.append(this.pad);
    this.pad.addEventListener("click", (event) => event.stopPropagation());
    this.show();
  }

  /** Show or hide a part. @param {string} [name] */
  show(name) {
    if (name) this.shows[name] = !this.shows[name];
    if (name === "latch" && !this.shows.latch) this.letGo();
    if (name === "preview") choose(this.shows.preview);
    if (this.pad) update(this.pad, { hidden: !this.shows.pad });
    if (this.hud) update(this.hud.root, { hidden: !this.shows.hud || this.shows.pad });
    this.controls.draw(this);
  }

  chooseKeys() {
    const close = () => {
      this.keys?.remove();
      this.keys = undefined;
      this.setVariant(this.inputs.variant.name);
    };
    if (this.keys) return close();
    this.pause();
    this.keys = keysWindow(this, close);
    this.root.append(this.keys);
  }

  /** The key that a lane is on. @param {string} lane */
  keyName(lane) {
    return this.names.of(this.inputs, lane, (id) => laneName(this.inputs.variant, id, this.words));
  }

  /** The session is over, and this is what was played. @param {any} take */
  keep(take) {
    this.kept = take;
    this.draw();
  }

  /** Leave the session and let go of the page. */
  dispose() {
    cancelAnimationFrame(this.frame);
    this.change.close();
    this.link.close();
    this.look.dispose();
    this.proxy.dispose();
    this.pictures.pacer.restart();
    this.stopTouches?.();
    window.removeEventListener("blur", this.leaving);
    window.removeEventListener("pagehide", this.leaving);
    document.removeEventListener("visibilitychange", this.hiding);
    this.root.remove();
  }
}
