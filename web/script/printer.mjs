// @ts-check
/** Timelines as script text, one step a line where that loses nothing; a port of printer.py. */
import { FRAMES_PER_BLOCK, VARIANTS, cameraAxes, heldKeys, legalLength } from "../model/variants.mjs";
import { activeSeeds, activeTracks } from "../model/document.mjs";

/** @typedef {[number, number, string]} Piece start, stop, what a chord says; "" for nothing */
/** @typedef {import("../model/document.mjs").Timeline} Timeline */
/** @typedef {import("../model/document.mjs").Tracks} Tracks */

const WIDTH = 100;
/** @type {Record<string, [string, string]>} */
const WORDS = { yaw: ["left", "right"], pitch: ["down", "up"] };

/**
 * The script of a timeline (its active lanes, markers and the seeds in use), or of exactly its first `exact` rows.
 * @param {Timeline} doc @param {number} [exact]
 */
export function printScript(doc, exact) {
  const variant = VARIANTS[doc.variant];
  const tracks = activeTracks(doc);
  const rows = exact ?? doc.length;
  /** @type {[string, Piece[]][]} */
  const columns = [["keys", keyPieces(heldKeys(variant), tracks)]];
  for (const axis of cameraAxes(variant))
    columns.push([axis, cameraPieces(axis, tracks[axis], rows, variant.camera.speed)]);
  const used = Math.max(...columns.map(([, pieces]) => (pieces.length ? pieces[pieces.length - 1][1] : 0)));
  const head = [`@variant ${variant.name}`];
  if (exact !== undefined || used > rows || legalLength(used) !== rows || !used) head.push(`@length ${rows}`);
  const markers = exact === undefined ? doc.markers.map(printMarker) : [];
  const seeds = activeSeeds(doc).flatMap(([t, seed]) => (t < rows ? [`seed ${seed} at ${t}`] : []));
  return `${[...head, ...markers, ...seeds, ...(stepLines(columns) ?? laneLines(columns))].join("\n")}\n`;
}

/**
 * Stretches of the same keys, up to the last key that is held.
 * @param {string[]} keys @param {Tracks} tracks @returns {Piece[]}
 */
function keyPieces(keys, tracks) {
  /** @type {Map<number, [string, boolean][]>} */
  const edges = new Map();
  const add = (/** @type {number} */ t, /** @type {string} */ key, /** @type {boolean} */ down) =>
    edges.set(t, [...(edges.get(t) ?? []), [key, down]]);
  for (const key of keys) {
    for (const [start, length] of tracks[key]) {
      add(start, key, true);
      add(start + length, key, false);
    }
  }
  /** @type {Set<string>} */
  const held = new Set();
  /** @type {Piece[]} */
  const out = [];
  let at = 0;
  for (const t of [...edges.keys()].sort((a, b) => a - b)) {
    if (t > at) out.push([at, t, keys.filter((key) => held.has(key)).join("+")]);
    at = t;
    const here = edges.get(t) ?? [];
    for (const [key, down] of here) if (!down) held.delete(key);
    for (const [key, down] of here) if (down) held.add(key);
  }
  return out;
}

/**
 * Holds and ramps of a canonical lane, up to the last that is not 0.
 * @param {string} axis @param {any[]} entries @param {number} rows @param {number} usual the speed that words have
 * @returns {Piece[]}
 */
function cameraPieces(axis, entries, rows, usual) {
  /** @type {Piece[]} */
  const out = [];
  let at = 0;
  let value = 0;
  for (const entry of entries) {
    if (entry[0] > at) out.push([at, entry[0], hold(axis, value, usual)]);
    at = entry[0];
    value = entry[entry.length - 1];
    if (entry.length !== 5) continue;
    const ease = entry[2] === "linear" ? "" : ` ${entry[2]}`;
    out.push([at, at + entry[3], `${axis}(${decimal(entry[1])} -> ${decimal(entry[4])}${ease})`]);
    at += entry[3];
  }
  if (value && at < rows) out.push([at, rows, hold(axis, value, usual)]);
  return out;
}

/**
 * One line for each stretch in which nothing changes; null where that would cut a ramp.
 * @param {[string, Piece[]][]} columns
 */
function stepLines(columns) {
  const cuts = [...new Set(columns.flatMap(([, pieces]) => pieces.flatMap(([a, b]) => [a, b])))].sort((a, b) => a - b);
  const at = columns.map(() => 0);
  const lines = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [start, stop] = [cuts[i], cuts[i + 1]];
    const chord = [];
    for (const [c, [, pieces]] of columns.entries()) {
      while (at[c] < pieces.length && pieces[at[c]][1] <= start) at[c]++;
      const piece = pieces[at[c]];
      if (!piece || piece[0] > start || !piece[2]) continue;
      if (piece[2].includes("->") && (piece[0] !== start || piece[1] !== stop)) return null;
      chord.push(piece[2]);
    }
    lines.push(`${chord.join("+") || "idle"} ${duration(stop - start)}`);
  }
  return lines;
}

/** @param {[string, Piece[]][]} columns */
function laneLines(columns) {
  const lines = [];
  for (const [name, pieces] of columns) {
    let line = `${name}: `;
    pieces.forEach(([start, stop, chord], i) => {
      const step = `${chord || "idle"} ${duration(stop - start)}${i + 1 < pieces.length ? ", " : ""}`;
      if (line.length + step.length > WIDTH) {
        lines.push(line.trimEnd());
        line = "    ";
      }
      line += step;
    });
    if (pieces.length) lines.push(line);
  }
  return lines;
}

/** @param {string} axis @param {number} value @param {number} usual the speed that words have */
function hold(axis, value, usual) {
  if (!value) return "";
  return Math.abs(value) === usual ? WORDS[axis][Number(value > 0)] : `${axis}(${decimal(value)})`;
}

/** All digits that are needed, without an exponent. @param {number} value */
function decimal(value) {
  const short = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(short);
  return match ? `${match[1]}0.${"0".repeat(Number(match[4]) - 1)}${match[2]}${match[3] ?? ""}` : short;
}

/** @param {number} frames */
const duration = (frames) => (frames % FRAMES_PER_BLOCK ? String(frames) : `${frames / FRAMES_PER_BLOCK}b`);

/** @param {import("../model/document.mjs").Marker} marker */
function printMarker({ t, name, pin }) {
  const shown = /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
    ? name
    : `"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  return `:${shown} at ${t}${pin ? " pin" : ""}`;
}
