// @ts-check
/** The picture over the lanes: drawn from what the desk has; a drag on it scrubs, or moves the wipe. */
import { element, update } from "../view/style.mjs";
import { contextFor, scaleOf } from "../view/surface.mjs";
import { HEIGHTS } from "./desk.mjs";

/** @typedef {import("./desk.mjs").Seen} Seen */
/** @typedef {{x: number, y: number, width: number, height: number}} Box */

const GAP = 4;
const PIXELS_A_FRAME = 4; // of a drag that scrubs
const MARGIN = 6;

export class Monitor {
  /**
   * @param {import("./desk.mjs").PictureDesk} desk @param {import("../parts/i18n.mjs").Translate} words
   * @param {(x: number) => void} menu opens what can be done with the result
   */
  constructor(desk, words, menu) {
    this.desk = desk;
    this.words = words;
    this.canvas = element("canvas", { class: "mg-picture", role: "img" });
    this.at = element("span", {});
    this.note = element("span", { class: "mg-picture-note" });
    this.root = element(
      "div",
      { class: "mg-monitor", hidden: true },
      element("div", { class: "mg-screen" }, this.canvas),
      element("div", { class: "mg-caption" }, this.at, this.note),
    );
    /** Where pictures were drawn last. @type {Box[]} */
    this.boxes = [];
    /** What was drawn last on each side, while the next is on its way. @type {(Seen | null)[]} */
    this.last = [];
    /** @type {{x: number, t: number} | null} */
    this.drag = null;
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      event.stopPropagation();
      menu(this.x(event));
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (this.drag = null));
  }

  get wiping() {
    return this.desk.mode === "wipe" && this.boxes.length > 0 && this.desk.sides.length > 1;
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    this.canvas.setPointerCapture(event.pointerId);
    const { editor } = this.desk;
    this.drag = { x: this.x(event), t: editor.playhead ?? editor.cursor.t };
    this.desk.point(null);
    if (this.wiping) this.move(event);
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.drag) return;
    const x = this.x(event);
    if (this.wiping) {
      const [box] = this.boxes;
      this.desk.setWipe((x - box.x) / box.width);
    } else if (this.desk.editor.playhead === null) {
      this.desk.editor.moveTo(this.drag.t + Math.round((x - this.drag.x) / PIXELS_A_FRAME));
    }
  }

  /** In pixels of the canvas, whatever the graph's zoom. @param {MouseEvent} event */
  x(event) {
    const box = this.canvas.getBoundingClientRect();
    return ((event.clientX - box.left) * this.canvas.clientWidth) / (box.width || 1);
  }

  /** @param {import("../view/theme.mjs").Theme | null} theme */
  draw(theme) {
    const { desk, canvas } = this;
    update(this.root, { hidden: !desk.visible });
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!desk.visible || !theme || !width || !height) return;
    const scale = scaleOf(canvas);
    const ctx = contextFor(canvas, width, height, scale);
    if (!ctx) return;
    const seen = desk.look(HEIGHTS.find((each) => height * scale <= each * 1.1) ?? HEIGHTS[HEIGHTS.length - 1]);
    ctx.clearRect(0, 0, width, height);
    ctx.font = theme.font;
    this.boxes = boxesOf(seen, desk.mode, width, height);
    this.last = seen.map((each, i) => (each.loaded || !each.url ? each : this.coming(each, this.last[i])));
    this.last.forEach((each, i) => each && this.drawSide(ctx, theme, each, i, seen.length));
    if (this.wiping && seen.length > 1) this.drawWipe(ctx, theme);
    const notes = seen.map(({ name, note }) => (note && seen.length > 1 ? `${name}: ${note}` : note)).filter(Boolean);
    const note = [...new Set(notes)].join(" · ");
    update(this.at, { text: desk.caption });
    update(this.note, { text: note, title: note });
    update(canvas, { "aria-label": [this.words("picture.label"), desk.caption, note].filter(Boolean).join(", ") });
  }

  /**
   * @param {CanvasRenderingContext2D} ctx @param {import("../view/theme.mjs").Theme} theme @param {Seen} seen
   * @param {number} i @param {number} sides
   */
  drawSide(ctx, theme, seen, i, sides) {
    const box = this.boxes[i];
    ctx.save();
    if (this.wiping && sides > 1) {
      const cut = box.x + this.desk.wipe * box.width;
      ctx.beginPath();
      ctx.rect(i ? cut : box.x, box.y, i ? box.x + box.width - cut : cut - box.x, box.height);
      ctx.clip();
    }
    ctx.fillStyle = theme.head;
    ctx.fillRect(box.x, box.y, box.width, box.height);
    if (seen.loaded) {
      const { image, width, height } = seen.loaded;
      const high = height / seen.count;
      ctx.globalAlpha = seen.old ? 0.5 : 1;
      ctx.drawImage(image, 0, seen.index * high, width, high, box.x, box.y, box.width, box.height);
      ctx.globalAlpha = 1;
    } else say(ctx, theme, seen.note, box);
    if (sides > 1) label(ctx, theme, seen.name, box, i === 1);
    ctx.restore();
  }

  /** The last picture of a side, if it is still kept, while the next one is on its way. */
  coming(/** @type {Seen} */ seen, /** @type {Seen | null | undefined} */ last) {
    return last?.loaded && this.desk.sheets.get(last.url) ? { ...last, note: seen.note } : seen;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {import("../view/theme.mjs").Theme} theme */
  drawWipe(ctx, theme) {
    const [box] = this.boxes;
    const x = box.x + this.desk.wipe * box.width;
    ctx.fillStyle = theme.accent;
    ctx.fillRect(x - 1, box.y, 2, box.height);
    ctx.beginPath();
    ctx.arc(x, box.y + box.height / 2, 6, 0, 7);
    ctx.fill();
  }
}

/** @param {Seen[]} seen @param {string} mode @param {number} width @param {number} height @returns {Box[]} */
function boxesOf(seen, mode, width, height) {
  const sides = mode === "side" ? seen.length : 1;
  const room = (width - GAP * (sides - 1)) / sides;
  const known = seen.find(({ loaded }) => loaded);
  const ratio = known?.loaded ? (known.loaded.width * known.count) / known.loaded.height : 640 / 352;
  const high = Math.min(height, room / ratio);
  return seen.map((_, i) => {
    const left = mode === "side" ? i * (room + GAP) : 0;
    const wide = high * ratio;
    return { x: left + (room - wide) / 2, y: (height - high) / 2, width: wide, height: high };
  });
}

/**
 * A sentence in the middle of a box, in as many lines as it takes.
 * @param {CanvasRenderingContext2D} ctx @param {import("../view/theme.mjs").Theme} theme @param {string} text
 * @param {Box} box
 */
function say(ctx, theme, text, box) {
  /** @type {string[]} */
  const lines = [];
  // words, or where a language has none, letters
  for (const word of text.match(/[\u3000-\uffff]|[^\s\u3000-\uffff]+\s*/g) ?? []) {
    const longer = `${lines[lines.length - 1] ?? ""}${word}`;
    if (lines.length && ctx.measureText(longer).width <= box.width - 2 * MARGIN) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  ctx.fillStyle = theme.dim;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  lines.forEach((line, i) => {
    ctx.fillText(line.trim(), box.x + box.width / 2, box.y + box.height / 2 + (i - (lines.length - 1) / 2) * 16);
  });
  ctx.textAlign = "start";
}

/**
 * A branch's name in the corner of its picture.
 * @param {CanvasRenderingContext2D} ctx @param {import("../view/theme.mjs").Theme} theme @param {string} name
 * @param {Box} box @param {boolean} right
 */
function label(ctx, theme, name, box, right) {
  const width = Math.min(ctx.measureText(name).width, box.width / 2 - 12) + 8;
  const x = right ? box.x + box.width - width - 3 : box.x + 3;
  ctx.fillStyle = theme.bg;
  ctx.fillRect(x, box.y + 3, width, 16);
  ctx.fillStyle = theme.text;
  ctx.textBaseline = "middle";
  ctx.fillText(name, x + 4, box.y + 11.5, width - 8);
}
