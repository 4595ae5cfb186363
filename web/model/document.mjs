// @ts-check
/**
 * The timeline document `matrixgame.timeline`, version 1: the widget's value, and a file format. The same rules as
 * the Python side (document.py, check_document.py); unknown top-level keys are kept.
 */
import { AXES, FPS, MAX_FRAMES, VARIANTS, cameraAxes, framesOfBlocks, heldKeys, legalLength } from "./variants.mjs";
import { firstPoints, points } from "./code_points.mjs";
import { canonicalCurve, cutCurve, cutRuns, sampleCurve } from "./tracks.mjs";

export const FORMAT = "matrixgame.timeline";
export const VERSION = 1;
export const EASINGS = ["linear", "smooth", "in", "out"];
const MAX_MARKERS = 1000;
export const MAX_BRANCHES = 100;
const MAX_NAME = 200; // code points, as Python counts
export const MAX_SEEDS = 1000; // changes of the seed

/** @typedef {import("./tracks.mjs").Run} Run */
/** @typedef {import("./tracks.mjs").Entry} Entry */
/** @typedef {Record<string, any[]>} Tracks of a key, Run[]; of yaw and pitch, Entry[] */
/** @typedef {import("./variants.mjs").Frame} Frame */
/** @typedef {{t: Frame, name: string, pin?: boolean}} Marker */
/** @typedef {[Frame, number]} SeedChange row and seed: another noise from the block that reads the row first */
/**
 * @typedef {object} Timeline
 * @property {string} format
 * @property {number} version
 * @property {string} variant
 * @property {number} fps
 * @property {Frame} length
 * @property {Tracks} tracks
 * @property {Marker[]} markers
 * @property {[Frame, Frame] | null} loop
 * @property {any[]} branches
 * @property {string | null} active
 * @property {SeedChange[]} [seeds] sorted by row; a branch may have its own in place of these
 * @property {{kind: string, text: string}} [source]
 * @property {Record<string, string>} [scripts] sources of the branches that are not in use
 */

/** A fault in a document, with the place in it. */
export class DocumentError extends Error {
  /** @param {string} message @param {"json"|"schema"|"newer"} kind */
  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** An empty timeline. @param {string} variant @param {number} [length] @returns {Timeline} */
export function emptyDocument(variant, length = framesOfBlocks(13)) {
  const doc = { format: FORMAT, version: VERSION, variant, fps: FPS, length: legalLength(length), tracks: {} };
  return { ...doc, tracks: canonicalTracks(variant, {}), markers: [], loop: null, branches: [], active: null };
}

/**
 * The document in `text`, canonical; throws DocumentError.
 * @param {string} text @returns {Timeline}
 */
export function readDocument(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DocumentError(`This timeline is not readable JSON: ${why}`, "json");
  }
  return canonicalDocument(data);
}

/** @param {any} data parsed JSON @returns {Timeline} */
export function canonicalDocument(data) {
  checkDocument(data);
  const markers = (data.markers ?? []).map((/** @type {Marker} */ m) =>
    m.pin ? { t: m.t, name: m.name, pin: true } : { t: m.t, name: m.name },
  );
  markers.sort((/** @type {Marker} */ a, /** @type {Marker} */ b) => a.t - b.t);
  return {
    format: FORMAT,
    version: VERSION,
    variant: data.variant,
    fps: FPS,
    length: data.length,
    tracks: canonicalTracks(data.variant, data.tracks),
    markers,
    loop: data.loop ?? null,
    branches: data.branches ?? [],
    active: data.active ?? null,
    ...(data.seeds?.length ? { seeds: data.seeds } : {}),
    ...extraOf(data),
  };
}

const FIELDS = new Set([
  "format",
  "version",
  "variant",
  "fps",
  "length",
  "tracks",
  "markers",
  "loop",
  "branches",
  "active",
  "seeds",
]);

/** Top-level keys that are kept as they are. @param {any} data */
function extraOf(data) {
  return Object.fromEntries(Object.entries(data).filter(([key]) => !FIELDS.has(key)));
}

/** The document as compact JSON text. @param {Timeline} doc */
export function writeDocument(doc) {
  return JSON.stringify(doc);
}

/** Every lane of the variant, in order. @param {string} variant @param {Tracks} tracks @returns {Tracks} */
export function canonicalTracks(variant, tracks) {
  const spec = VARIANTS[variant];
  /** @type {Tracks} */
  const out = {};
  for (const key of heldKeys(spec)) out[key] = tracks[key] ?? [];
  for (const axis of cameraAxes(spec)) out[axis] = canonicalCurve(tracks[axis] ?? []);
  return out;
}

/** The lanes in use: those of the active branch where it has any. @param {Timeline} doc @returns {Tracks} */
export function activeTracks(doc) {
  const branch = doc.active === null ? null : doc.branches.find((b) => b.id === doc.active);
  return branch ? { ...doc.tracks, ...branch.tracks } : doc.tracks;
}

/** The changes of the seed in use. @param {Timeline} doc @returns {SeedChange[]} */
export function activeSeeds(doc) {
  const branch = doc.active === null ? null : doc.branches.find((b) => b.id === doc.active);
  return branch?.seeds ?? doc.seeds ?? [];
}

/**
 * `doc` with other changes of the seed in use. Where they are the main ones, branches keep those they had.
 * @param {Timeline} doc @param {SeedChange[]} seeds @returns {Timeline}
 */
export function withSeeds(doc, seeds) {
  if (JSON.stringify(seeds) === JSON.stringify(activeSeeds(doc))) return doc;
  if (doc.active !== null)
    return { ...doc, branches: doc.branches.map((b) => (b.id === doc.active ? { ...b, seeds } : b)) };
  const { seeds: old = [], ...rest } = doc;
  const branches = doc.branches.map((b) => ({ ...b, seeds: b.seeds ?? old }));
  return seeds.length ? { ...rest, branches, seeds } : { ...rest, branches };
}

/**
 * `doc` with other lanes in use; the lanes that changed go to the active branch, if any.
 * @param {Timeline} doc @param {Tracks} tracks @returns {Timeline}
 */
export function withTracks(doc, tracks) {
  if (doc.active === null) return { ...doc, tracks, branches: keptBranches(doc, tracks) };
  const changed = Object.entries(tracks).filter(([name, lane]) => lane !== doc.tracks[name]);
  const branches = doc.branches.map((b) => (b.id === doc.active ? { ...b, tracks: Object.fromEntries(changed) } : b));
  return { ...doc, branches };
}

/**
 * The branches before the main lanes change: they keep the lanes they shared with them until now, so that a branch
 * stays what it is whatever is done to another.
 * @param {Timeline} doc @param {Tracks} tracks the main lanes as they will be
 */
function keptBranches(doc, tracks) {
  const changed = Object.entries(doc.tracks).filter(
    ([name, lane]) => lane !== tracks[name] && JSON.stringify(lane) !== JSON.stringify(tracks[name]),
  );
  if (!changed.length) return doc.branches;
  return doc.branches.map((b) => ({ ...b, tracks: { ...Object.fromEntries(changed), ...b.tracks } }));
}

/** Lanes cut to `length` rows. @param {Tracks} tracks @param {number} length @returns {Tracks} */
export function cutTracks(tracks, length) {
  return Object.fromEntries(
    Object.entries(tracks).map(([name, lane]) => [
      name,
      AXES.includes(name) ? canonicalCurve(cutCurve(lane, 0, length)) : cutRuns(lane, 0, length),
    ]),
  );
}

/**
 * The input rows of the document: what the network is given.
 * @param {Timeline} doc @returns {{keyboard: number[][], mouse: number[][] | null}} [T][keys], [T][pitch, yaw]
 */
export function rowsOf(doc) {
  const spec = VARIANTS[doc.variant];
  const tracks = activeTracks(doc);
  const keyboard = Array.from({ length: doc.length }, () => spec.keys.map(() => 0));
  spec.keys.forEach((key, column) => {
    for (const [start, length] of tracks[key] ?? [])
      for (let t = start; t < start + length; t++) keyboard[t][column] = 1;
  });
  const idle = spec.keys.indexOf("idle");
  if (idle >= 0) for (const row of keyboard) if (!row.includes(1)) row[idle] = 1;
  if (!spec.mouse) return { keyboard, mouse: null };
  const pitch = sampleCurve(tracks.pitch ?? [], 0, doc.length);
  const yaw = sampleCurve(tracks.yaw ?? [], 0, doc.length);
  return { keyboard, mouse: pitch.map((value, t) => [value, yaw[t]]) };
}

/** @param {any} value */
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
/** @param {any} value */
const isWhole = (value) => isNumber(value) && Number.isInteger(value);
/** @param {any} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** @param {any} value */
const isName = (value) =>
  typeof value === "string" && value.length >= 1 && points(value) <= MAX_NAME && !/[\u0000-\u001f]/.test(value);
/** What can be a name of what somebody wrote. @param {string} text */
export const cleanName = (text) => firstPoints(text.replace(/[\s\u0000-\u001f]+/g, " ").trim(), MAX_NAME).trim();

/** @param {boolean} good @param {string} path @param {string} expected */
function need(good, path, expected) {
  if (!good)
    throw new DocumentError(
      path ? `Timeline, ${path}: must be ${expected}.` : `A timeline must be ${expected}.`,
      "schema",
    );
}

/** Throws DocumentError for the first fault. @param {any} data */
export function checkDocument(data) {
  need(isObject(data), "", "a JSON object");
  need(data.format === FORMAT, "format", `"${FORMAT}"`);
  need(isWhole(data.version) && data.version >= 1, "version", "a whole number from 1");
  if (data.version > VERSION) {
    throw new DocumentError(
      `This timeline is version ${data.version} and this node pack reads version ${VERSION}: update the node pack. ` +
        "The timeline was not changed.",
      "newer",
    );
  }
  const name = typeof data.variant === "string" ? data.variant : "";
  const other = /^[a-z][a-z0-9_]*$/.test(name) ? `, and there is no description of '${name.slice(0, 40)}' here` : "";
  need(Object.hasOwn(VARIANTS, name), "variant", `one of ${Object.keys(VARIANTS).join(", ")}${other}`);
  need(data.fps === undefined || data.fps === FPS, "fps", String(FPS));
  const { length } = data;
  need(isWhole(length) && length >= 9 && length <= MAX_FRAMES, "length", `9 to ${MAX_FRAMES}`);
  const below = length - ((length - 9) % 12);
  need(
    below === length,
    "length",
    `9, 21, 33, ... (9 + 12 n); the nearest to ${length} are ${below} and ${below + 12}`,
  );
  checkTracks(data.tracks, "tracks", data.variant, length);
  checkMarkers(data.markers, length);
  const loop = data.loop ?? null;
  const goodLoop =
    loop === null ||
    (Array.isArray(loop) &&
      loop.length === 2 &&
      loop.every(isWhole) &&
      loop[0] >= 0 &&
      loop[0] < loop[1] &&
      loop[1] <= length);
  need(goodLoop, "loop", `null or [start, stop] with 0 <= start < stop <= ${length}`);
  checkSeeds(data.seeds, "seeds", length);
  checkBranches(data, length);
}

/** @param {any} tracks @param {string} path @param {string} variant @param {number} length */
function checkTracks(tracks, path, variant, length) {
  const spec = VARIANTS[variant];
  need(isObject(tracks), path, "an object of lanes");
  const lanes = [...heldKeys(spec), ...(spec.mouse ? AXES : [])];
  for (const [name, lane] of Object.entries(tracks)) {
    const place = `${path}.${name}`;
    need(lanes.includes(name), place, `absent: ${variant} has the lanes ${lanes.join(", ")}`);
    need(Array.isArray(lane), place, "a list");
    if (AXES.includes(name)) checkCurve(lane, place, length, spec.camera.limit);
    else checkRuns(lane, place, length);
    if (name === "pitch" && !spec.pitch) {
      const zero = lane.every((/** @type {any[]} */ e) => e[1] === 0 && (e[4] ?? 0) === 0);
      need(zero, place, `empty: ${variant} never uses pitch`);
    }
  }
  if (spec.exclusive) checkExclusive(tracks, path, variant);
}

/** @param {any[]} runs @param {string} path @param {number} length */
function checkRuns(runs, path, length) {
  let free = 0;
  runs.forEach((run, i) => {
    const place = `${path}[${i}]`;
    need(Array.isArray(run) && run.length === 2 && run.every(isWhole), place, "[start, length], whole numbers");
    need(run[0] >= 0 && run[1] >= 1, place, "a start of 0 or more and a length of 1 or more");
    need(run[0] + run[1] <= length, place, `over by row ${length}, the length of the timeline`);
    need(run[0] >= free, place, "after the run before it, with a gap between them (join runs that touch)");
    free = run[0] + run[1] + 1;
  });
}

/** @param {any[]} entries @param {string} path @param {number} length @param {number} limit of values */
function checkCurve(entries, path, length, limit) {
  let free = 0;
  entries.forEach((entry, i) => {
    const place = `${path}[${i}]`;
    need(
      Array.isArray(entry) && (entry.length === 2 || entry.length === 5),
      place,
      "[row, value] or [row, from, easing, length, to]",
    );
    need(isWhole(entry[0]) && entry[0] >= 0 && entry[0] < length, `${place}[0]`, `a row from 0 to ${length - 1}`);
    for (let j = 1; j < entry.length; j += 3) {
      need(isNumber(entry[j]) && Math.abs(entry[j]) <= limit, `${place}[${j}]`, `a number from -${limit} to ${limit}`);
    }
    need(entry[0] >= free, place, "later than the entry before it has ended");
    free = entry[0] + 1;
    if (entry.length === 5) {
      need(EASINGS.includes(entry[2]), `${place}[2]`, `an easing: ${EASINGS.join(", ")}`);
      need(
        isWhole(entry[3]) && entry[3] >= 1 && entry[3] <= MAX_FRAMES,
        `${place}[3]`,
        `a length from 1 to ${MAX_FRAMES}`,
      );
      free = entry[0] + entry[3];
    }
  });
}

/** @param {Tracks} tracks @param {string} path @param {string} variant */
function checkExclusive(tracks, path, variant) {
  const runs = heldKeys(VARIANTS[variant]).flatMap((name) =>
    (tracks[name] ?? []).map(([start, length]) => ({ start, length, name })),
  );
  runs.sort((a, b) => a.start - b.start);
  for (let i = 1; i < runs.length; i++) {
    const [one, next] = [runs[i - 1], runs[i]];
    if (next.start < one.start + one.length) {
      const what = `${variant} takes one action at a time, and row ${next.start} has both ${one.name} and ${next.name}`;
      throw new DocumentError(`Timeline, ${path}: ${what}.`, "schema");
    }
  }
}

/** @param {any} markers @param {number} length */
function checkMarkers(markers, length) {
  if (markers === undefined || markers === null) return;
  need(Array.isArray(markers) && markers.length <= MAX_MARKERS, "markers", `a list of at most ${MAX_MARKERS}`);
  markers.forEach((/** @type {any} */ marker, /** @type {number} */ i) => {
    const place = `markers[${i}]`;
    need(isObject(marker), place, "an object");
    need(isWhole(marker.t) && marker.t >= 0 && marker.t <= length, `${place}.t`, `a row from 0 to ${length}`);
    need(isName(marker.name), `${place}.name`, `a name of 1 to ${MAX_NAME} characters on one line`);
    need(marker.pin === undefined || typeof marker.pin === "boolean", `${place}.pin`, "true or false");
  });
}

/** @param {any} seeds @param {string} path @param {number} length */
function checkSeeds(seeds, path, length) {
  if (seeds === undefined || seeds === null) return;
  need(Array.isArray(seeds) && seeds.length <= MAX_SEEDS, path, `a list of at most ${MAX_SEEDS}`);
  let free = 0;
  seeds.forEach((/** @type {any} */ change, /** @type {number} */ i) => {
    const place = `${path}[${i}]`;
    need(Array.isArray(change) && change.length === 2 && change.every(isWhole), place, "[row, seed], whole numbers");
    const [row, seed] = change;
    need(row >= 0 && row < length, `${place}[0]`, `a row from 0 to ${length - 1}`);
    need(row >= free, `${place}[0]`, "later than the row of the change before it");
    need(seed >= 0 && seed <= Number.MAX_SAFE_INTEGER, `${place}[1]`, `a seed from 0 to ${Number.MAX_SAFE_INTEGER}`);
    free = row + 1;
  });
}

/** @param {any} data @param {number} length */
function checkBranches(data, length) {
  const branches = data.branches ?? [];
  need(Array.isArray(branches) && branches.length <= MAX_BRANCHES, "branches", `a list of at most ${MAX_BRANCHES}`);
  /** @type {string[]} */
  const ids = [];
  branches.forEach((/** @type {any} */ branch, /** @type {number} */ i) => {
    const place = `branches[${i}]`;
    need(isObject(branch), place, "an object");
    need(isName(branch.id) && !ids.includes(branch.id), `${place}.id`, "an id that no other branch has");
    ids.push(branch.id);
    need(isName(branch.name), `${place}.name`, `a name of 1 to ${MAX_NAME} characters on one line`);
    need(
      isWhole(branch.fork) && branch.fork >= 0 && branch.fork <= length,
      `${place}.fork`,
      `a row from 0 to ${length}`,
    );
    checkTracks(branch.tracks, `${place}.tracks`, data.variant, length);
    checkSeeds(branch.seeds, `${place}.seeds`, length);
    if (VARIANTS[data.variant].exclusive)
      checkExclusive({ ...data.tracks, ...branch.tracks }, `${place}.tracks`, data.variant);
  });
  need((data.active ?? null) === null || ids.includes(data.active), "active", "null or the id of a branch");
}
