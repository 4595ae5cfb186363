// @ts-check
/** The row of buttons. They are reached with the mouse or a finger; the keyboard has a key for each of them. */
import { MAX_FRAMES, blocksOfFrames } from "../../model/variants.mjs";
import { element, update } from "../view/style.mjs";

/** Drawings on a 16 x 16 grid; `.` marks solid parts. @type {Record<string, string>} */
const ICONS = {
  paint: "M10.5 2.5l3 3-7.5 7.5-3.7.7.7-3.7zM9 4l3 3",
  select: "M4 2l8 6.5-3.6.6 2 4.2-1.7.8-2-4.2L4 12z",
  ramp: "M2 13h2.5L11.5 4H14M4.5 13a.5.5 0 100-.01M11.5 4a.5.5 0 100-.01",
  pan: "M8 2v12M2 8h12M6 4l2-2 2 2M6 12l2 2 2-2M4 6L2 8l2 2M12 6l2 2-2 2",
  undo: "M6 3L3 6l3 3M3.2 6H9a4 4 0 010 8H6",
  redo: "M10 3l3 3-3 3M12.8 6H7a4 4 0 000 8h3",
  in: "M7 3a4 4 0 100 8 4 4 0 000-8zM10 10l4 4M5 7h4M7 5v4",
  out: "M7 3a4 4 0 100 8 4 4 0 000-8zM10 10l4 4M5 7h4",
  fit: "M2 3v10M14 3v10M4.5 8h7M6.5 6l-2 2 2 2M9.5 6l2 2-2 2",
  play: ".M5 3l8 5-8 5z",
  stop: ".M4 4h8v8H4z",
  record: ".M8 3.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9z",
  picture: "M2 3.5h12v9H2zM2 10l3.5-3 3 2.5 2.5-2L14 10",
  file: "M4 1.5h5l3 3v10H4zM9 1.5v3h3M8 7v5M6 10l2 2 2-2",
  room: "M2 6V2h4M14 6V2h-4M2 10v4h4M14 10v4h-4",
  fork: "M4 2v12M4 10c5 0 8-1.5 8-7M9.5 5.5L12 3l2.5 2.5",
};

/** @param {string} name */
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const solid = ICONS[name].startsWith(".");
  path.setAttribute("d", ICONS[name].slice(solid ? 1 : 0));
  if (solid) path.setAttribute("class", "mg-solid");
  svg.append(path);
  return svg;
}

/**
 * @typedef {object} BarHost
 * @property {() => void} play
 * @property {(touch: boolean) => void} record
 * @property {() => void} help
 * @property {(tab: "lanes"|"script") => void} tab
 * @property {() => "lanes"|"script"} shown
 * @property {() => boolean} recording
 * @property {(below: HTMLElement) => void} branches
 * @property {(below: HTMLElement) => void} pictures
 * @property {(below: HTMLElement) => void} more
 * @property {(below: HTMLElement) => void} files
 * @property {() => void} room
 * @property {(below: HTMLElement) => void} recordMenu
 */

export class Toolbar {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor @param {BarHost} host
   * @param {import("./i18n.mjs").Translate} words
   */
  constructor(editor, host, words) {
    this.editor = editor;
    this.host = host;
    this.words = words;
    const e = editor;
    this.tools = ["paint", "select", "ramp", "pan"].map((tool) =>
      this.button(icon(tool), `tool.${tool}`, () => e.setTool(tool), { "data-tool": tool }),
    );
    this.undo = this.button(icon("undo"), "undo", () => e.undo(), { "data-act": "undo" });
    this.redo = this.button(icon("redo"), "redo", () => e.redo(), { "data-act": "redo" });
    this.play = this.button(icon("play"), "play", () => host.play(), { "data-act": "play" });
    this.record = this.button(
      icon("record"),
      "record",
      (event) => host.record(event instanceof PointerEvent && event.pointerType === "touch"),
      { "data-act": "record" },
    );
    this.record.classList.add("mg-rec");
    this.record.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      event.stopPropagation();
      host.recordMenu(this.record);
    });
    this.picture = this.button(icon("picture"), "picture", () => host.pictures(this.picture), {
      "data-act": "picture",
      "aria-haspopup": "menu",
    });
    this.file = this.button(icon("file"), "file.title", () => host.files(this.file), {
      "data-act": "file",
      "aria-haspopup": "menu",
    });
    this.fork = this.button(icon("fork"), "fork", () => e.fork(), { "data-act": "fork" });
    this.branch = this.button("", "branch", () => host.branches(this.branch), {
      "data-act": "branch",
      "aria-haspopup": "menu",
    });
    this.branch.classList.add("mg-text", "mg-branch");
    this.flip = this.button("A/B", "flip", () => e.flip(), { "data-act": "flip" });
    this.flip.classList.add("mg-text");
    this.snap = this.button("", "snap", () => e.nextSnap(), { "data-act": "snap" });
    this.snap.classList.add("mg-text");
    this.easing = this.button("", "easing", () => e.nextEasing(), { "data-act": "easing" });
    this.easing.classList.add("mg-text");
    const zoom = (/** @type {number} */ by) => () => (e.view.zoom(e.doc, by), e.emit("view"));
    this.zooms = [
      this.button(icon("out"), "zoom.out", zoom(1 / 1.4), { "data-act": "zoom-out" }),
      this.button(icon("in"), "zoom.in", zoom(1.4), { "data-act": "zoom-in" }),
      this.button(icon("fit"), "zoom.fit", () => (e.view.fit(e.doc), e.emit("view")), { "data-act": "fit" }),
    ];
    this.length = element("input", {
      class: "mg-field",
      type: "number",
      min: "1",
      max: String(blocksOfFrames(MAX_FRAMES)),
      step: "1",
      "aria-label": words("length"),
      title: words("length"),
    });
    this.unit = element("span", {});
    this.more = this.button("+", "more", () => host.more(this.more), { "data-act": "more" });
    this.length.addEventListener("change", () => this.setLength());
    this.tabs = /** @type {const} */ (["lanes", "script"]).map((tab) =>
      this.button(words(`tab.${tab}`), `tab.${tab}`, () => host.tab(tab), { "data-tab": tab }),
    );
    for (const tab of this.tabs) tab.classList.add("mg-text");
    this.room = this.button(icon("room"), "room", () => host.room(), { "data-act": "room" });
    this.help = this.button("?", "help", () => host.help(), { "data-act": "help" });
    const separator = () => element("span", { class: "mg-sep" });
    this.lanesOnly = [
      ...this.tools,
      separator(),
      this.undo,
      this.redo,
      separator(),
      this.play,
      this.record,
      this.picture,
      this.file,
      separator(),
      this.fork,
      this.branch,
      this.flip,
      separator(),
      this.snap,
      this.easing,
      separator(),
      ...this.zooms,
    ];
    this.root = element(
      "div",
      { class: "mg-bar", role: "toolbar", "aria-label": words("live.label") },
      ...this.lanesOnly,
      element("span", { class: "mg-gap" }),
      element("label", { class: "mg-length" }, this.length, this.unit),
      this.more,
      element("span", { class: "mg-ends" }, ...this.tabs, this.room, this.help),
    );
  }

  /**
   * @param {Node | string} face @param {string} title @param {(event: Event) => void} run
   * @param {Record<string, string>} [more]
   */
  button(face, title, run, more = {}) {
    const made = element(
      "button",
      {
        class: "mg-button",
        type: "button",
        tabindex: "-1",
        title: this.words(title),
        "aria-label": this.words(title),
        ...more,
      },
      face,
    );
    made.addEventListener("mousedown", (event) => event.preventDefault());
    made.addEventListener("click", run);
    return made;
  }

  setLength() {
    const blocks = Math.round(Number(this.length.value));
    const most = blocksOfFrames(MAX_FRAMES);
    if (Number.isFinite(blocks) && blocks >= 1) this.editor.setBlocks(Math.min(most, blocks));
    this.refresh();
  }

  refresh() {
    const { editor, words } = this;
    const press = (/** @type {HTMLElement} */ button, /** @type {boolean} */ on) =>
      update(button, { "aria-pressed": on });
    for (const button of this.tools) press(button, button.dataset.tool === editor.tool);
    for (const button of this.tabs) press(button, button.dataset.tab === this.host.shown());
    update(this.undo, { disabled: !editor.history.canUndo });
    update(this.redo, { disabled: !editor.history.canRedo });
    const running = editor.playhead !== null;
    const state = running ? "stop" : "play";
    if (this.play.dataset.state !== state) {
      this.play.dataset.state = state;
      this.play.replaceChildren(icon(state));
      this.play.title = words(state);
      this.play.setAttribute("aria-label", words(state));
    }
    press(this.record, running && this.host.recording());
    this.label(this.snap, "snap", words(`snap.${editor.snap}`));
    this.label(this.easing, "easing", words(`ease.${editor.easing}`));
    const script = this.host.shown() === "script";
    const camera = [this.easing, this.tools[2]];
    for (const node of this.lanesOnly)
      update(node, { hidden: script || (!editor.variant.mouse && camera.includes(/** @type {any} */ (node))) });
    const name = editor.branchName(editor.doc.active);
    if (this.branch.textContent !== `${name} ▾`) this.label(this.branch, "branch", `${name} ▾`, name);
    const flip = words("flip", { name: editor.branchName(editor.other) });
    update(this.flip, { title: flip, "aria-label": flip });
    // Their room is there from the start: the lanes must not move under the mouse when a branch is forked.
    for (const node of [this.branch, this.flip]) {
      update(node, { hidden: script && editor.other === undefined });
      node.classList.toggle("mg-away", editor.other === undefined);
    }
    const blocks = String(blocksOfFrames(editor.doc.length));
    if (document.activeElement !== this.length && this.length.value !== blocks) this.length.value = blocks;
    update(this.unit, { text: words("length.unit", { n: Number(blocks) }) });
  }

  /**
   * @param {HTMLButtonElement} button @param {string} key of its title @param {string} face
   * @param {string} [name] in its title
   */
  label(button, key, face, name = face) {
    if (button.textContent === face) return;
    button.textContent = face;
    button.title = this.words(key, { name });
    button.setAttribute("aria-label", this.words(key, { name }));
  }
}
