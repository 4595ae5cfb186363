// @ts-check
/** What can be pressed on the canvas, as data: the pointer's shape and what a press begins both follow from it. */
import { activeTracks } from "../../model/document.mjs";
import { blockOfInput, firstInputOfBlock } from "../../model/variants.mjs";
import { MARKERS, MINIMAP, RULER, STRIP } from "./view.mjs";
import { TAG_TOP, seedTags } from "./draw_signs.mjs";

/** @typedef {import("../../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../../model/document.mjs").Marker} Marker */
/** @typedef {import("../../model/tracks.mjs").Entry} Entry */
/** @typedef {import("../../model/tracks.mjs").Run} Run */
/** @typedef {import("../../model/variants.mjs").Block} Block */
/** @typedef {import("../../model/variants.mjs").Frame} Frame */
/** @typedef {import("../../model/variants.mjs").Pixel} Pixel */
/** @typedef {import("./view.mjs").View} View */
/** @typedef {import("./view.mjs").Row} Row */
/**
 * @typedef {{x: Pixel, y: Pixel, width: Pixel, height: Pixel}} Rect right and bottom
 *   excluded
 */
/** @typedef {{doc: Timeline, view: View, tool: string, selection: Selection | null, ramp: object | null}} Scene */
/** @typedef {import("../editing/state.mjs").Selection} Selection */
/**
 * @typedef {{kind: "corner" | "ruler" | "strip" | "film" | "markers" | "minimap", rect: Rect}
 *   | {kind: "name" | "arm" | "lane", rect: Rect, row: Row}} Band a part of the canvas that is always there
 */
/**
 * @typedef {Band
 *   | {kind: "loopEnd", rect: Rect, end: 0 | 1}
 *   | {kind: "end", rect: Rect}
 *   | {kind: "seed", rect: Rect, t: Frame}
 *   | {kind: "block", rect: Rect, block: Block}
 *   | {kind: "marker", rect: Rect, marker: Marker}
 *   | {kind: "rampEnd", rect: Rect, at: {x: number, y: number}, row: Row, ramp: Entry, end: "start" | "stop",
 *      value: number}
 *   | {kind: "runEdge", rect: Rect, row: Row, run: Run, side: "left" | "right"}
 *   | {kind: "run", rect: Rect, row: Row, run: Run}
 *   | {kind: "selection", rect: Rect, row: Row}} Area
 */

const EDGE = 5; // pixels on each side of an edge that take it
const END = 7; // on each side of the end of the timeline
const RAMP_END = 7; // radius
const ARM = 25; // width of the dot that arms a lane
const NEAR_MARKER = 8;
const LOOP_TOP = 11; // the ends of the loop are in the lower half of the ruler
const LETTER = 6.5;

/** @param {Area} area @param {number} x @param {number} y */
export function contains(area, x, y) {
  const { rect } = area;
  const within = x >= rect.x && x < rect.x + rect.width && y >= rect.y && y < rect.y + rect.height;
  return within && (area.kind !== "rampEnd" || Math.hypot(area.at.x - x, area.at.y - y) <= RAMP_END);
}

/** The parts of the canvas, topmost first. @param {View} view @returns {Band[]} */
export function bandsOf(view) {
  const { head, width, height, rows } = view;
  const across = (/** @type {number} */ y, /** @type {number} */ h) => ({ x: head, y, width: width - head, height: h });
  return [
    ...rows.flatMap((row) => {
      const line = { y: row.top, height: row.height };
      return /** @type {Band[]} */ ([
        { kind: "arm", row, rect: { ...line, x: head - ARM, width: ARM } },
        { kind: "name", row, rect: { ...line, x: 0, width: head - ARM } },
      ]);
    }),
    { kind: "corner", rect: { x: 0, y: 0, width: head, height } },
    { kind: "ruler", rect: across(0, RULER) },
    { kind: "strip", rect: across(RULER, STRIP) },
    ...(view.film ? [{ kind: /** @type {const} */ ("film"), rect: across(RULER + STRIP, view.film) }] : []),
    { kind: "markers", rect: across(view.markersTop, MARKERS) },
    { kind: "minimap", rect: across(view.lanesBottom, MINIMAP) },
    ...rows.map((row) => ({ kind: /** @type {const} */ ("lane"), row, rect: across(row.top, row.height) })),
  ];
}

/**
 * What lies in a band, topmost first; nothing sticks out of it.
 * @param {Scene} scene @param {Band} band @returns {Area[]}
 */
export function contentsOf(scene, band) {
  return [...rawContents(scene, band)].flatMap((area) => {
    const rect = overlap(area.rect, band.rect);
    return rect.width > 0 && rect.height > 0 ? [{ ...area, rect }] : [];
  });
}

/** Everything that can be pressed, topmost first. @param {Scene} scene @returns {Area[]} */
export function hitAreas(scene) {
  return bandsOf(scene.view).flatMap((band) => [...contentsOf(scene, band), band]);
}

/**
 * The topmost area at a point: the first of `hitAreas` that contains it.
 * @param {Scene} scene @param {number} x @param {number} y
 */
export function areaAt(scene, x, y) {
  const band = bandsOf(scene.view).find((each) => contains(each, x, y));
  return band ? (contentsOf(scene, band).find((each) => contains(each, x, y)) ?? band) : null;
}

/** @param {Scene} scene @param {Band} band @returns {Iterable<Area>} */
function rawContents(scene, band) {
  if (band.kind === "ruler") return [...loopEnds(scene), endOf(scene), ...seeds(scene)];
  if (band.kind === "strip") return blocks(scene);
  if (band.kind === "markers") return markers(scene);
  if (band.kind !== "lane" || scene.tool === "pan") return [];
  const ends = band.row.kind === "axis" && scene.tool !== "paint" && !scene.ramp ? rampEnds(scene, band.row) : [];
  return scene.tool === "select" ? [...ends, ...selectable(scene, band.row)] : ends;
}

/** @param {Scene} scene @returns {Area[]} */
function loopEnds({ doc, view }) {
  const rect = { y: LOOP_TOP, height: RULER - LOOP_TOP };
  return (doc.loop ?? []).map((t, i) => ({
    kind: "loopEnd",
    end: /** @type {0 | 1} */ (i),
    rect: { ...rect, ...around(view.x(t), EDGE) },
  }));
}

/** The numbers of other seeds, each as far as the next. @param {Scene} scene @returns {Area[]} */
function seeds({ doc, view }) {
  const places = seedTags(doc, view);
  return places.map(({ t, x, width }) => ({
    kind: "seed",
    t,
    rect: { x, y: TAG_TOP, width, height: RULER - TAG_TOP },
  }));
}

/** The end of the timeline, which can be dragged. @param {Scene} scene @returns {Area} */
function endOf({ doc, view }) {
  return { kind: "end", rect: { y: 0, height: RULER, ...around(view.x(doc.length), END) } };
}

/** The last row, which no block reads, is as one of its own. @param {Scene} scene @returns {Iterable<Area>} */
function* blocks({ doc, view }) {
  for (let block = blockOfInput(Math.floor(view.scroll)); firstInputOfBlock(block) < doc.length; block++) {
    const rect = stretch(view, doc, firstInputOfBlock(block), firstInputOfBlock(block + 1));
    if (rect.x > view.width) return;
    yield { kind: "block", block, rect: { ...rect, y: RULER, height: STRIP } };
  }
}

/** Signs first, then names, each as far as the next sign. @param {Scene} scene @returns {Area[]} */
function markers({ doc, view }) {
  const line = { y: view.markersTop, height: MARKERS };
  const signs = doc.markers.map((marker) => ({ marker, rect: { ...line, ...around(view.x(marker.t), NEAR_MARKER) } }));
  const names = doc.markers.map((marker, i) => {
    const x = view.x(marker.t);
    const next = i + 1 < doc.markers.length ? view.x(doc.markers[i + 1].t) : Infinity;
    return { marker, rect: { ...line, x, width: Math.min(12 + marker.name.length * LETTER, next - x) } };
  });
  return [...signs, ...names].map((area) => ({ kind: "marker", ...area }));
}

/** @param {Scene} scene @param {Row} row @returns {Iterable<Area>} */
function* rampEnds({ doc, view }, row) {
  for (const ramp of activeTracks(doc)[row.id]) {
    if (ramp.length !== 5 || !isSeen(view, ramp[0], ramp[0] + ramp[3])) continue;
    for (const end of /** @type {("stop"|"start")[]} */ (["stop", "start"])) {
      const [t, value] = end === "stop" ? [ramp[0] + ramp[3], ramp[4]] : [ramp[0], ramp[1]];
      const at = { x: view.x(t), y: view.yOf(doc, row, value) };
      const { x: y, width: height } = around(at.y, RAMP_END);
      yield { kind: "rampEnd", at, row, ramp, end, value, rect: { ...around(at.x, RAMP_END), y, height } };
    }
  }
}

/**
 * Runs of a key with their edges, and the selection: over them where it has several lanes, else between edges and runs.
 * A run that is alone selected is moved as a run.
 * @param {Scene} scene @param {Row} row @returns {Area[]}
 */
function selectable({ doc, view, selection }, row) {
  const line = { y: row.top, height: row.height };
  /** @type {Run[]} */
  const lane = row.kind === "key" ? activeTracks(doc)[row.id] : [];
  const runs = lane.filter(([a, n]) => isSeen(view, a, a + n));
  const edges = runs.flatMap((run) => edgesOf(view, row, run));
  /** @type {Area[]} */
  const bodies = runs.map((run) => ({
    kind: "run",
    row,
    run,
    rect: { ...line, ...stretch(view, doc, run[0], run[0] + run[1]) },
  }));
  if (!selection?.lanes.includes(row.id)) return [...edges, ...bodies];
  const rect = { ...line, ...stretch(view, doc, selection.a, selection.b) };
  if (selection.lanes.length > 1) return [{ kind: "selection", row, rect }, ...edges, ...bodies];
  if (runs.some(([a, n]) => selection.a === a && selection.b === a + n)) return [...edges, ...bodies];
  return [...edges, { kind: "selection", row, rect }, ...bodies];
}

/**
 * The edges of a run, or where it is too narrow to take one of them, all of it.
 * @param {View} view @param {Row} row @param {Run} run @returns {Area[]}
 */
function edgesOf(view, row, run) {
  const line = { y: row.top, height: row.height };
  const left = { ...line, ...around(view.x(run[0]), EDGE) };
  const right = { ...line, ...around(view.x(run[0] + run[1]), EDGE) };
  if (run[1] * view.perFrame <= 2 * EDGE) {
    return [{ kind: "run", row, run, rect: { ...left, width: right.x + right.width - left.x } }];
  }
  return [
    { kind: "runEdge", row, run, side: "left", rect: left },
    { kind: "runEdge", row, run, side: "right", rect: right },
  ];
}

/** A pixel and so many on each side of it. @param {Pixel} x @param {Pixel} reach */
const around = (x, reach) => ({ x: x - reach, width: 2 * reach + 1 });

/**
 * Rows a..b across; what ends with the document goes on to the edge of the canvas, where its last row is taken.
 * @param {View} view @param {Timeline} doc @param {Frame} a @param {Frame} b
 */
function stretch(view, doc, a, b) {
  const x = view.x(a);
  return { x, width: (b >= doc.length ? Math.max(view.width, view.x(b)) : view.x(b)) - x };
}

/** @param {View} view @param {Frame} a @param {Frame} b */
const isSeen = (view, a, b) => view.x(b) >= view.head - RAMP_END && view.x(a) <= view.width + RAMP_END;

/** @param {Rect} a @param {Rect} b @returns {Rect} */
function overlap(a, b) {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  return {
    x,
    y,
    width: Math.min(a.x + a.width, b.x + b.width) - x,
    height: Math.min(a.y + a.height, b.y + b.height) - y,
  };
}
