// @ts-check
/** What the popups ask and offer here: a camera value, the name of a frame, the menu. */
import { copyScript } from "../editing/clipboard.mjs";
import { activeTracks } from "../../model/document.mjs";
import { MAX_FRAMES, blocksOfFrames, secondsOf } from "../../model/variants.mjs";
import { stretchAt } from "../input/gestures.mjs";
import { readExact } from "../editing/exact.mjs";
import { degreesText, signed, turnOf } from "../../model/turns.mjs";
import { valueAt } from "../../model/tracks.mjs";
import * as edit from "../../model/edit.mjs";
import { seedsByBlock, setMarker, setSeed } from "../../model/edit_signs.mjs";
import { blockAt, readSeed, rerollHere } from "../editing/seeds.mjs";
import { areaAt } from "../view/areas.mjs";

export class Windows {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor @param {import("./popups.mjs").Popups} popups
   * @param {import("./i18n.mjs").Translate} words
   * @param {import("../pictures/desk.mjs").PictureDesk} desk
   * @param {{paste: (text: string) => void, complain: (message: string) => void,
   *   presets: (x: number, y: number) => void, files: (x: number, y: number) => void}} host
   */
  constructor(editor, popups, words, desk, host) {
    this.editor = editor;
    this.popups = popups;
    this.words = words;
    this.desk = desk;
    this.host = host;
  }

  /** Double click. @param {import("../input/gestures.mjs").Point} p */
  openAt(p) {
    const hit = this.editor.view.hit(this.editor.doc, p.x, p.y);
    const area = areaAt(this.editor, p.x, p.y);
    if (area?.kind === "seed") this.askSeed(area.t);
    else if (hit.row?.kind === "axis") this.askValue(hit.t, hit.row.id, p);
    else {
      const near = this.editor.doc.markers.find((m) => Math.abs(this.editor.view.x(m.t) - p.x) <= 8);
      this.askMarker(near ? near.t : hit.t);
    }
  }

  /** @param {number} t @param {string} lane @param {{x: number, y: number}} [at] */
  askValue(t, lane, at) {
    const { editor, words } = this;
    const row = editor.view.rows.find((r) => r.id === lane);
    if (!row || row.kind !== "axis" || !editor.editable) return;
    const [a, b] = stretchAt(editor, lane, t);
    const { camera } = editor.variant;
    const ramp = edit.rampAt(editor.doc, lane, t);
    const now = valueAt(activeTracks(editor.doc)[lane], t);
    const number = (/** @type {number} */ value) => String(Number(value.toFixed(4)));
    /** What is written, and the rows that it is for. @param {string} text */
    const read = (text) => {
      const exact = readExact(text, words, camera, b - a);
      if ("error" in exact) return exact;
      const stop = exact.rows === null ? b : a + exact.rows;
      return stop > editor.doc.length
        ? { error: words("exact.late", { n: stop - editor.doc.length }) }
        : { ...exact, stop };
    };
    editor.select(a, b, [lane]);
    this.popups.ask({
      title: words("value.title", { lane: editor.nameOf(lane), a, b: b - 1 }),
      value: ramp?.length === 5 && ramp[0] === a ? `${number(ramp[1])} -> ${number(ramp[4])}` : number(now),
      chips: [-camera.speed, 0, camera.speed].map(String),
      x: at?.x ?? editor.view.x(t),
      y: at ? at.y + 8 : row.top + row.height,
      hint: (text) => {
        const exact = read(text);
        if ("error" in exact) return "";
        const { v0, v1, easing, stop } = exact;
        const s = secondsOf(stop - a).toFixed(2);
        const turned = [[0, v0, easing || editor.easing, stop - a, v1]];
        const turn = degreesText(turnOf(/** @type {any} */ (turned), camera, 0, stop - a));
        if (easing !== null) return words("exact.ramp", { v0: signed(v0), v1: signed(v1), turn, s });
        return words("exact.hold", { value: v0, degrees: degreesText(v0 * camera.unit), turn, s });
      },
      done: (text) => {
        const exact = read(text);
        if ("error" in exact) return exact.error;
        // the lane is one of the variant that was shown when it was asked
        if (!editor.lanes.some((each) => each.id === lane)) return null;
        const { v0, v1, stop } = exact;
        const easing = exact.easing || (ramp?.length === 5 ? ramp[2] : editor.easing);
        editor.apply((doc) =>
          exact.easing === null
            ? edit.holdAxis(doc, lane, a, stop, v0)
            : edit.rampAxis(doc, lane, a, stop, v0, v1, easing),
        );
        editor.select(a, stop, [lane]);
        editor.sayRange(lane, a, stop);
        return null;
      },
    });
  }

  /** @param {number} t */
  askMarker(t) {
    const { editor, words } = this;
    if (!editor.editable) return;
    this.popups.ask({
      title: words("marker.title", { t }),
      value: editor.doc.markers.find((m) => m.t === t)?.name ?? "",
      x: editor.view.x(t),
      y: editor.view.lanesTop,
      done: (text) => {
        editor.cursor = { ...editor.cursor, t: Math.min(t, editor.doc.length - 1) };
        editor.apply((doc) => setMarker(doc, t, text));
        editor.say(text.trim() ? "say.marker" : "say.unmarked", { name: text, t });
        return null;
      },
    });
  }

  /** The seed of the block that a row is in. @param {number} t */
  askSeed(t) {
    const { editor, words } = this;
    if (!editor.editable) return;
    const block = blockAt(editor.doc, t);
    this.popups.ask({
      title: words("seed.title", { block }),
      value: String(seedsByBlock(editor.doc).get(block) ?? ""),
      x: editor.view.x(t),
      y: editor.view.markersTop,
      done: (text) => {
        const seed = readSeed(text);
        if (seed === undefined) return words("seed.bad", { most: Number.MAX_SAFE_INTEGER });
        editor.apply((doc) => setSeed(doc, block, seed));
        editor.say(seed === null ? "say.noseed" : "say.seed", { seed: String(seed), block });
        return null;
      },
    });
  }

  /** @param {import("../input/gestures.mjs").Point} p */
  menu(p) {
    const { editor, words } = this;
    if (!editor.editable) return;
    const hit = editor.view.hit(editor.doc, p.x, p.y);
    const { selection } = editor;
    const inside = selection && hit.t >= selection.a && hit.t < selection.b;
    if (!inside && !hit.header) editor.moveTo(hit.t, hit.row?.id);
    const item = (
      /** @type {string} */ key,
      /** @type {string} */ keys,
      /** @type {() => void} */ run,
      off = false,
    ) => ({ label: words(key), keys, run, off });
    this.popups.menu(
      [
        ...(hit.row?.kind === "axis"
          ? [item("menu.value", "Enter", () => this.askValue(hit.t, hit.row?.id ?? "", p))]
          : []),
        item("menu.cut", "Ctrl+X", () => void this.copyFromMenu("Ctrl+X").then((copied) => copied && editor.clear())),
        item("menu.copy", "Ctrl+C", () => void this.copyFromMenu("Ctrl+C")),
        item("menu.paste", "Ctrl+V", () => this.pasteFromMenu()),
        item("menu.delete", "Del", () => editor.clear()),
        item("menu.all", "Ctrl+A", () => editor.select(0, editor.doc.length)),
        item("menu.insert", "Ins", () => editor.insert()),
        item(
          inside ? "menu.removeSelection" : "menu.remove",
          "Shift+Del",
          () => editor.remove(),
          editor.doc.length <= 9,
        ),
        item("menu.more", "A", () => this.askMore(p.x, p.y)),
        item("menu.marker", "M", () => this.askMarker(editor.cursor.t)),
        item(
          editor.doc.markers.some((m) => m.t === editor.cursor.t && m.pin) ? "menu.unpin" : "menu.pin",
          "Shift+M",
          () => editor.pin(),
        ),
        item("menu.files", "Shift+O", () => this.host.files(p.x, p.y)),
        item("menu.presets", "/", () => this.host.presets(p.x, p.y)),
        item("menu.go", "J", () => this.askPlace(p.x, p.y)),
        item(
          "menu.changes",
          "Shift+U",
          () => this.changes(p.x, p.y),
          !editor.history.canUndo && !editor.history.canRedo,
        ),
        item("menu.fork", "B", () => editor.fork()),
        item("menu.reroll", "S", () => rerollHere(editor)),
        item("menu.seed", "Shift+S", () => this.askSeed(editor.cursor.t)),
        item("menu.in", "I", () => editor.loop("in")),
        item("menu.out", "O", () => editor.loop("out")),
        item("menu.noloop", "L", () => editor.doc.loop && editor.loop("toggle"), !editor.doc.loop),
      ],
      p.x,
      p.y,
    );
  }

  /** Where to go, or what to select. @param {number} x @param {number} y */
  askPlace(x, y) {
    const { editor, words } = this;
    this.popups.ask({
      title: words("go.title"),
      value: "",
      x,
      y,
      done: (text) => (editor.goTo(text) ? null : words("go.bad", { last: blocksOfFrames(editor.doc.length) - 1 })),
    });
  }

  /** All steps of undo; the one that is shown has the dot. @param {number} x @param {number} y */
  changes(x, y) {
    const { editor, words } = this;
    if (!editor.editable) return;
    const items = editor.changes.map(({ at, text }) => ({
      label: text,
      run: () => editor.travel(() => at),
      chosen: at === editor.history.at,
    }));
    this.popups.menu(items, x, y, words("change.title"));
  }

  /** How many blocks there shall be more. @param {number} x @param {number} y */
  askMore(x, y) {
    const { editor, words } = this;
    if (!editor.editable) return;
    const most = blocksOfFrames(MAX_FRAMES) - blocksOfFrames(editor.doc.length);
    if (most < 1) {
      editor.say("say.longest");
      return;
    }
    this.popups.ask({
      title: words("more.title"),
      value: "5",
      chips: ["1", "5", "10"],
      x,
      y,
      done: (text) => {
        const blocks = /^\s*\+?\s*(\d+)\s*$/.exec(text)?.[1];
        if (!blocks || Number(blocks) < 1 || Number(blocks) > most) return words("more.bad", { most });
        editor.goOn(Number(blocks));
        return null;
      },
    });
  }

  /** All branches, and what can be done with the one in use. @param {number} x @param {number} y */
  branches(x, y) {
    const { editor, words } = this;
    if (!editor.editable) return;
    const { active, branches } = editor.doc;
    const ids = [null, ...branches.map((branch) => branch.id)];
    const versions = ids.map((id) => ({
      label: editor.branchName(id),
      keys: id === editor.other ? "X" : "",
      run: () => editor.flip(id),
      chosen: id === active,
      picture: branches.length ? this.desk.pictureOfBranch(id) : undefined,
    }));
    const own = active !== null;
    const name = editor.branchName(active);
    this.popups.menu(
      [
        ...versions,
        null,
        { label: words("menu.fork"), keys: "B", run: () => editor.fork() },
        { label: words("menu.rename", { name }), run: () => this.askBranch(x, y), off: !own },
        { label: words("menu.unfork", { name }), run: () => editor.removeBranch(), off: !own },
      ],
      x,
      y,
      words("branch.title"),
    );
  }

  /** How pictures are looked at. @param {number} x */
  pictures(x) {
    const { desk, words } = this;
    const mode = (/** @type {import("../pictures/desk.mjs").Mode} */ name) => ({
      label: words(`picture.${name}`),
      keys: "C",
      run: () => desk.compare(name),
      chosen: desk.show && desk.mode === name,
    });
    this.popups.menu(
      [
        { label: words("picture.show"), keys: "G", run: () => desk.toggle(), checked: desk.show },
        { label: words("picture.film"), keys: "Shift+G", run: () => desk.toggleFilm(), checked: desk.film },
        null,
        mode("one"),
        mode("side"),
        mode("wipe"),
      ],
      x,
      0,
      words("picture"),
    );
  }

  /** A new name for the branch in use. @param {number} x @param {number} y */
  askBranch(x, y) {
    const { editor, words } = this;
    this.popups.ask({
      title: words("branch.rename"),
      value: editor.branchName(editor.doc.active),
      x,
      y,
      done: (text) => (editor.renameBranch(text) ? null : words("branch.noname")),
    });
  }

  /**
   * Pages that came without https have no clipboard but with the keyboard.
   * @param {string} keys that do the same @returns {Promise<boolean>} whether it is copied
   */
  async copyFromMenu(keys) {
    try {
      await navigator.clipboard.writeText(copyScript(this.editor));
    } catch {
      this.host.complain(this.words("copy.blocked", { keys }));
      return false;
    }
    this.editor.sayCopied();
    return true;
  }

  pasteFromMenu() {
    const failed = () => this.host.complain(this.words("paste.blocked"));
    if (!navigator.clipboard?.readText) failed();
    else navigator.clipboard.readText().then((text) => this.host.paste(text), failed);
  }
}
