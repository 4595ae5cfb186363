// @ts-check
/** Statements to a timeline: times added up, repeats unrolled, runs joined; a port of to_timeline.py. */
import { FRAMES_PER_BLOCK, cameraAxes, heldKeys, legalLength } from "../model/variants.mjs";
import { MAX_SEEDS, canonicalTracks, emptyDocument } from "../model/document.mjs";
import { sampleCurve } from "../model/tracks.mjs";
import { MAX_MARKERS } from "./parser.mjs";
import { AXES } from "./vocabulary.mjs";

/** @typedef {import("./parser.mjs").Statement} Statement */
/** @typedef {import("./parser.mjs").Mark} Mark */
/** @typedef {import("./parser.mjs").Seed} Seed */
/** @typedef {import("./parser.mjs").Ramp} Ramp */
/** @typedef {import("../model/tracks.mjs").Entry} Entry */
/** @typedef {import("../model/tracks.mjs").Run} Run */

/** Lanes while they are written, from left to right. */
class Writer {
  constructor() {
    this.now = 0;
    /** @type {Record<string, Run[]>} */
    this.runs = {};
    /** @type {Record<string, Entry[]>} */
    this.camera = { yaw: [], pitch: [] };
    /** @type {Record<string, number>} */
    this.values = { yaw: 0, pitch: 0 };
    /** @type {{t: number, mark: Mark}[]} */
    this.marks = [];
    /** @type {Map<number, Seed>} */
    this.seeds = new Map();
  }

  /** @param {Statement[]} body */
  play(body) {
    for (const statement of body) {
      if (statement.kind === "repeat") for (let i = 0; i < statement.times; i++) this.play(statement.body);
      else if (statement.kind === "mark") this.marks.push({ t: statement.at ?? this.now, mark: statement });
      else if (statement.kind === "seed") this.seeds.set(statement.at ?? this.now, statement);
      else {
        this.place(statement);
        this.now += statement.frames;
      }
    }
  }

  /** @param {import("./parser.mjs").Step | import("./parser.mjs").Lanes | import("./parser.mjs").Wait} statement */
  place(statement) {
    /** @type {[string, import("./parser.mjs").Step[]][]} */
    const lanes =
      statement.kind === "lanes" ? statement.lanes : statement.kind === "step" ? [["step", [statement]]] : [];
    let quiet = AXES;
    for (const [name, steps] of lanes) {
      const mine = name === "keys" ? [] : AXES.includes(name) ? [name] : AXES;
      quiet = quiet.filter((axis) => !mine.includes(axis));
      let t = this.now;
      for (const step of steps) {
        for (const key of step.keys) this.hold(key, t, step.frames);
        for (const axis of mine) this.turn(axis, t, step.frames, step.camera[axis] ?? null);
        t += step.frames;
      }
      if (t < this.now + statement.frames) for (const axis of mine) this.turn(axis, t, 0, null);
    }
    for (const axis of quiet) this.turn(axis, this.now, statement.frames, null);
  }

  /** @param {string} key @param {number} t @param {number} frames */
  hold(key, t, frames) {
    this.runs[key] ??= [];
    const runs = this.runs[key];
    const last = runs[runs.length - 1];
    if (last && last[0] + last[1] === t) last[1] += frames;
    else runs.push([t, frames]);
  }

  /** @param {string} axis @param {number} t @param {number} frames @param {Ramp | null} ramp */
  turn(axis, t, frames, ramp) {
    const { start, stop, ease } = ramp ?? { start: 0, stop: 0, ease: null };
    if (ease !== null) this.camera[axis].push([t, start, ease, frames, stop]);
    else if (start !== this.values[axis]) this.camera[axis].push([t, start]);
    this.values[axis] = stop;
  }
}

/**
 * The timeline of the statements that `parser` has read, and how many rows the script asks for.
 * @param {import("./parser.mjs").Parser} parser @param {Statement[]} body
 * @returns {{document: import("../model/document.mjs").Timeline, frames: number}}
 */
export function writeTimeline(parser, body) {
  const asked = body.reduce((sum, statement) => sum + statement.frames, 0);
  let frames = asked;
  if (parser.length) {
    const [length, place] = parser.length;
    frames = length;
    if (asked > frames) parser.warn("cut", `the script has ${asked} frames and is cut to ${frames}`, place);
  } else if (!frames) throw parser.error("empty", "the script has no steps", parser.end, "write for example: w 2b");
  const length = legalLength(frames);
  checkMarkers(parser, body, length);
  const writer = new Writer();
  writer.play([...body, { kind: "wait", frames: Math.max(0, frames - asked), markers: 0 }]);
  if (![0, 8, 9].includes(frames % FRAMES_PER_BLOCK)) {
    const message = `a length of ${frames} is no whole number of blocks`;
    parser.warn("filled", `${message}; the timeline is filled with idle up to ${length}`, parser.end);
  }
  const { variant } = parser;
  /** @type {Record<string, any[]>} */
  const tracks = {};
  for (const key of heldKeys(variant)) {
    tracks[key] = (writer.runs[key] ?? [])
      .filter(([start]) => start < frames)
      .map(([start, n]) => [start, Math.min(n, frames - start)]);
  }
  for (const axis of cameraAxes(variant)) {
    const entries = writer.camera[axis].filter((entry) => entry[0] < frames);
    tracks[axis] = frames < length ? quietFrom(frames, entries) : entries;
  }
  const markers = markersOf(writer, frames);
  const seeds = seedsOf(parser, writer, frames);
  const document = { ...emptyDocument(variant.name, length), tracks: canonicalTracks(variant.name, tracks), markers };
  return { document: seeds.length ? { ...document, seeds } : document, frames };
}

/**
 * The lane with 0 from row `frames` on; a ramp that would run past it becomes holds.
 * @param {number} frames @param {Entry[]} entries @returns {Entry[]}
 */
function quietFrom(frames, entries) {
  const last = entries[entries.length - 1];
  if (!last || last.length !== 5 || last[0] + last[3] <= frames) return [...entries, [frames, 0]];
  const values = sampleCurve([last], last[0], frames);
  return [
    ...entries.slice(0, -1),
    ...values.map((value, i) => /** @type {Entry} */ ([last[0] + i, value])),
    [frames, 0],
  ];
}

/**
 * Before any row is written: a script that is refused costs no more than reading it.
 * @param {import("./parser.mjs").Parser} parser @param {Statement[]} body @param {number} length
 */
function checkMarkers(parser, body, length) {
  for (const mark of body) {
    if (mark.kind !== "mark" || mark.at === null || mark.at <= length) continue;
    throw parser.error(
      "marker-past",
      `the marker is at ${mark.at}, past the end of the script at ${length}`,
      mark.place,
    );
  }
  const count = body.reduce((sum, statement) => sum + statement.markers, 0);
  if (count > MAX_MARKERS) throw parser.error("markers", `the script has more than ${MAX_MARKERS} markers`, parser.end);
}

/**
 * Changes of the seed by row; of several at one row, the last. What no row follows has no effect.
 * @param {import("./parser.mjs").Parser} parser @param {Writer} writer @param {number} frames
 */
function seedsOf(parser, writer, frames) {
  const kept = [...writer.seeds].filter(([row]) => row < frames);
  if (kept.length > MAX_SEEDS)
    throw parser.error("seeds", `the script changes the seed more than ${MAX_SEEDS} times`, parser.end);
  for (const [row, { seed, place }] of writer.seeds)
    if (row >= frames) parser.warn("seed-unused", `no step follows 'seed ${seed}', so it changes nothing`, place);
  kept.sort(([a], [b]) => a - b);
  return kept.map(([row, { seed }]) => /** @type {import("../model/document.mjs").SeedChange} */ ([row, seed]));
}

/**
 * Markers by row; those that the steps which `@length` cuts off have set are cut off with them.
 * @param {Writer} writer @param {number} frames
 */
function markersOf(writer, frames) {
  /** @type {import("../model/document.mjs").Marker[]} */
  const markers = [];
  for (const { t, mark } of writer.marks) {
    if (t <= frames || mark.at !== null)
      markers.push(mark.pin ? { t, name: mark.name, pin: true } : { t, name: mark.name });
  }
  return markers.sort((a, b) => a.t - b.t);
}
