// @ts-check
/** What pictures of the timeline are seen, and which are asked for. Knows nothing of the page. */
import { UNITS } from "../../model/places.mjs";
import { secondsOf } from "../../model/variants.mjs";
import { blocksAhead, frameAt, lastStored, shownAt, shownIn } from "./frames.mjs";
import { Pictures } from "./loaded.mjs";
import { FILM } from "../view/view.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../view/strip.mjs").StoredBlocks} StoredBlocks */
/** @typedef {import("./loaded.mjs").Loaded} Loaded */
/** @typedef {"one"|"side"|"wipe"} Mode */
/**
 * @typedef {object} Source where pictures come from
 * @property {(doc: Timeline) => Promise<StoredBlocks | null | undefined>} stored what there is of a timeline
 * @property {(project: string, key: string) => string} frame the address of a block's middle frame
 * @property {(project: string, key: string, height: number) => string} frames of all its frames, one below the other
 * @property {(script: string, variant: string, kind: string) => Promise<Blob>} result all that is stored, as a picture
 */
/**
 * @typedef {object} Seen one picture that is looked at
 * @property {string} name of its branch
 * @property {Loaded | null} loaded the frames of its block
 * @property {number} index of its frame among them
 * @property {number} count frames that its block has
 * @property {boolean} old it is of before an edit
 * @property {string} url
 * @property {string} note what there is to say of it
 */
/** @typedef {import("../../model/places.mjs").Unit} Unit */
/** @typedef {{show: boolean, film: boolean, mode: Mode, unit: Unit}} Settings unit: of the ruler */

export const MONITOR = 206; // height of the picture in a node
export const HEIGHTS = [240, 480]; // that the server has
const MODES = /** @type {Mode[]} */ (["one", "side", "wipe"]);
const SHEET_BYTES = 96e6; // decoded: 19 blocks of 436 x 240
const FRAME_BYTES = 24e6;

export class PictureDesk {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor
   * @param {{fetchPicture: (url: string) => Promise<Loaded>, changed: () => void, arrived: () => void,
   *   settings: {read: () => Partial<Settings>, write: (settings: Settings) => void}}} host
   *   changed: something else is to be shown. arrived: a picture came
   */
  constructor(editor, host) {
    this.editor = editor;
    this.host = host;
    const kept = host.settings.read();
    this.show = kept.show === true;
    this.film = kept.film === true;
    this.mode = MODES.find((mode) => mode === kept.mode) ?? "one";
    editor.view.unit = UNITS.find((unit) => unit === kept.unit) ?? "frames";
    this.wipe = 0.5;
    this.kept = JSON.stringify({ show: this.show, film: this.film, mode: this.mode, unit: editor.view.unit });
    this.inRoom = false; // which always shows the picture
    /** @type {Source | null} */
    this.source = null;
    /** The row under the pointer, and where the cursor was then. @type {{t: number, cursor: number} | null} */
    this.hovered = null;
    const changed = host.arrived;
    this.sheets = new Pictures(host.fetchPicture, { bytes: SHEET_BYTES, together: 2, changed });
    this.frames = new Pictures(host.fetchPicture, { bytes: FRAME_BYTES, together: 3, changed });
    /** What is stored of the branches that are not in use. @type {Map<string | null, StoredBlocks>} */
    this.others = new Map();
    this.compared = { doc: /** @type {Timeline | null} */ (null), other: /** @type {Timeline | null} */ (null) };
    /** @type {string[]} */
    this.wantedFrames = [];
  }

  /** Whether the picture is seen. */
  get visible() {
    return this.show || this.inRoom;
  }

  /** What picture and filmstrip take of the node's height. */
  get height() {
    return (this.show ? MONITOR : 0) + (this.film ? FILM : 0);
  }

  // ---- ways of looking

  /** @param {Partial<Omit<Settings, "unit">>} what */
  set(what) {
    Object.assign(this, what);
    this.keep();
    this.host.changed();
    void this.askOther();
  }

  /** Keep how its user looks at things for the next time, where that changed. */
  keep() {
    const { show, film, mode } = this;
    const { unit } = this.editor.view;
    const text = JSON.stringify({ show, film, mode, unit });
    if (text === this.kept) return;
    this.kept = text;
    this.host.settings.write({ show, film, mode, unit });
  }

  toggle() {
    this.set({ show: !this.show });
    this.editor.say(this.show ? "say.picture.on" : "say.picture.off");
  }

  toggleFilm() {
    this.set({ film: !this.film });
    this.editor.say(this.film ? "say.film.on" : "say.film.off");
  }

  /** @param {Mode} [mode] default: the next one */
  compare(mode = MODES[(MODES.indexOf(this.mode) + 1) % MODES.length]) {
    this.set({ show: true, mode });
    const alone = mode !== "one" && this.editor.other === undefined;
    this.editor.say(alone ? "picture.nobranch" : `picture.${mode}`);
  }

  /** @param {number} share of the width that the branch in use has */
  setWipe(share) {
    this.wipe = Math.max(0, Math.min(1, share));
    this.host.arrived();
  }

  /** The pointer is over a row, or over none. @param {number | null} t */
  point(t) {
    const { t: cursor } = this.editor.cursor;
    const same = t === (this.hovered?.t ?? null) && cursor === this.hovered?.cursor;
    this.hovered = t === null ? null : { t, cursor };
    if (this.visible && !same) this.host.arrived();
  }

  // ---- what is stored

  /** @param {Source} source */
  connect(source) {
    this.source = source;
    this.host.changed();
  }

  /** The store may have changed: after a run, or an edit. */
  refresh() {
    this.sheets.retry();
    this.frames.retry();
    void this.askOther();
  }

  /** Ask what is stored of the branch that is compared with, where it is looked at. */
  async askOther() {
    const { other } = this.editor;
    if (!this.source || !this.visible || this.mode === "one" || other === undefined) return;
    await this.askBranch(other);
  }

  /** @param {string | null} id @returns {Promise<StoredBlocks | null>} */
  async askBranch(id) {
    if (id === this.editor.doc.active) return this.editor.storedBlocks;
    const found = (await this.source?.stored({ ...this.editor.doc, active: id }).catch(() => null)) ?? null;
    if (found) this.others.set(id, found);
    else this.others.delete(id);
    this.host.arrived();
    return found;
  }

  /** The address of a picture that stands for a branch, null where there is none. @param {string | null} id */
  async pictureOfBranch(id) {
    if (!this.source) return null;
    const stored = await this.askBranch(id);
    const block = stored ? lastStored(stored) : -1;
    return stored && block >= 0 ? this.source.frame(stored.project, stored.blocks[block].key) : null;
  }

  // ---- what is seen

  /** The row that is pointed at; a pointer that rests while the cursor is moved points no more. */
  get pointed() {
    const { hovered, editor } = this;
    return hovered && hovered.cursor === editor.cursor.t && editor.playhead === null ? hovered.t : null;
  }

  /** The row whose picture is seen: what plays, else what is pointed at, else the cursor's. */
  get row() {
    const { editor } = this;
    return editor.playhead ?? Math.min(this.pointed ?? editor.cursor.t, editor.doc.length - 1);
  }

  /** The line under the picture. */
  get caption() {
    const { editor, row } = this;
    const { block } = frameAt(row, editor.storedBlocks?.first);
    return editor.words(this.pointed !== null ? "picture.pointer" : "picture.at", {
      t: row,
      s: secondsOf(row).toFixed(2),
      block,
    });
  }

  /** @returns {{name: string, doc: Timeline, stored: StoredBlocks | null}[]} the branches that are looked at */
  get sides() {
    const { editor } = this;
    const { doc, other } = editor;
    const own = { name: editor.branchName(doc.active), doc, stored: editor.storedBlocks };
    if (this.mode === "one" || other === undefined) return [own];
    if (this.compared.doc !== doc || this.compared.other?.active !== other)
      this.compared = { doc, other: { ...doc, active: other } };
    const its = /** @type {Timeline} */ (this.compared.other);
    return [own, { name: editor.branchName(other), doc: its, stored: this.others.get(other) ?? null }];
  }

  /** What is seen, and ask for what is missing of it. @param {number} height of each frame @returns {Seen[]} */
  look(height) {
    const { editor, row } = this;
    const { sides } = this;
    const seen = sides.map(({ name, doc, stored }) => this.seen(name, doc, stored, row, height));
    const urls = seen.map(({ url }) => url);
    if (editor.playhead !== null) {
      for (const { doc, stored } of sides) {
        for (const block of stored ? blocksAhead(doc, row, stored.first) : [])
          urls.push(this.address(stored, doc, { block, index: 0 }, height));
      }
    }
    this.sheets.want(urls.filter(Boolean));
    return seen;
  }

  /**
   * @param {string} name @param {Timeline} doc @param {StoredBlocks | null} stored @param {number} row
   * @param {number} height @returns {Seen}
   */
  seen(name, doc, stored, row, height) {
    const { words } = this.editor;
    const nothing = { name, loaded: null, index: 0, count: 0, old: false, url: "" };
    if (!this.source || !stored) return { ...nothing, note: words("picture.none") };
    const shown = shownAt(stored, doc, row);
    const { block, index, old, state } = shown;
    if (!shown.key) {
      const why = ["making", "failed", "stale"].includes(state) ? state : "empty";
      return { ...nothing, index, note: words(`picture.${why}`, { block }) };
    }
    const url = this.source.frames(stored.project, shown.key, height);
    const loaded = this.sheets.get(url);
    const missing = this.sheets.hasFailed(url) ? words("picture.unread", { block }) : words("picture.coming");
    const count = block + (stored.first ?? 0) === 0 ? 9 : 12;
    return { name, loaded, index, count, old, url, note: loaded ? (old ? words("picture.old") : "") : missing };
  }

  /**
   * @param {StoredBlocks | null} stored @param {Timeline} doc @param {{block: number, index: number}} frame
   * @param {number} height
   */
  address(stored, doc, frame, height) {
    const key = stored ? shownIn(stored, doc, frame).key : "";
    return stored && key ? (this.source?.frames(stored.project, key, height) ?? "") : "";
  }

  /**
   * The picture of a block in the filmstrip, where it is here; else it is asked for once the strip is drawn.
   * @param {number} block @returns {{loaded: Loaded | null, old: boolean}}
   */
  ofFilm(block) {
    const { storedBlocks: stored, doc } = this.editor;
    if (!this.source || !stored) return { loaded: null, old: false };
    const { key, old } = shownIn(stored, doc, { block, index: 0 });
    if (!key) return { loaded: null, old };
    const url = this.source.frame(stored.project, key);
    this.wantedFrames.push(url);
    return { loaded: this.frames.get(url), old };
  }

  /** The filmstrip is drawn: ask for what it lacked. */
  filmDrawn() {
    this.frames.want(this.wantedFrames);
    this.wantedFrames = [];
  }

  /** Let go of all pictures. */
  end() {
    this.sheets.end();
    this.frames.end();
  }
}
