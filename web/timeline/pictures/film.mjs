// @ts-check
/** The row of pictures over the lanes: one for each block or, where blocks are narrow, for each few of them. */
import { blockOfInput, blocksOfFrames, firstInputOfBlock } from "../../model/variants.mjs";
import { FILM, RULER, STRIP } from "../view/view.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../view/view.mjs").View} View */
/** @typedef {import("./loaded.mjs").Loaded} Loaded */
/** @typedef {{block: number, x: number, width: number}} Cell */

const STEPS = [1, 2, 4, 5, 10, 20, 50, 100];
const LEAST = 34; // pixels of a picture's width

/**
 * The cells that are seen: block, and where its picture lies. The blocks that stand for several stay the same while
 * one scrolls.
 * @param {View} view @param {Timeline} doc @returns {Cell[]}
 */
export function filmCells(view, doc) {
  const blocks = blocksOfFrames(doc.length);
  const wide = 12 * view.perFrame;
  const step = STEPS.find((n) => n * wide >= LEAST) ?? 200;
  const from = blockOfInput(Math.max(0, Math.floor(view.scroll)));
  const cells = [];
  for (let block = from - (from % step); block < blocks; block += step) {
    const x = view.x(firstInputOfBlock(block));
    if (x > view.width) break;
    const end = view.x(Math.min(doc.length, firstInputOfBlock(Math.min(blocks, block + step))));
    cells.push({ block, x, width: end - x });
  }
  return cells;
}

/**
 * @param {CanvasRenderingContext2D} ctx @param {import("../view/draw.mjs").Picture} p
 * @param {(block: number) => {loaded: Loaded | null, old: boolean}} pictureOf a block, where there is one
 */
export function drawFilm(ctx, { doc, view, theme }, pictureOf) {
  const top = RULER + STRIP;
  ctx.fillStyle = theme.bg;
  ctx.fillRect(view.head, top, view.width, FILM);
  for (const { block, x, width } of filmCells(view, doc)) {
    const cell = { x: x + 0.5, y: top + 1, width: width - 1, height: FILM - 2 };
    ctx.fillStyle = theme.head;
    ctx.fillRect(cell.x, cell.y, cell.width, cell.height);
    const { loaded, old } = pictureOf(block);
    if (!loaded || cell.width < 4) continue;
    ctx.globalAlpha = old ? 0.35 : 1;
    cover(ctx, loaded, cell);
    ctx.globalAlpha = 1;
  }
  ctx.fillStyle = theme.line;
  ctx.fillRect(view.head, top + FILM - 1, view.width, 1);
}

/**
 * A picture as high as its cell: at the left of a wider one, and cut off at both sides in a narrower one.
 * @param {CanvasRenderingContext2D} ctx @param {Loaded} loaded
 * @param {{x: number, y: number, width: number, height: number}} cell
 */
function cover(ctx, { image, width, height }, cell) {
  const shown = Math.min(cell.width, (width * cell.height) / height);
  const used = (shown * height) / cell.height; // of its own pixels, across
  ctx.drawImage(image, (width - used) / 2, 0, used, height, cell.x, cell.y, shown, cell.height);
}
