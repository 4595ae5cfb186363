// @ts-check
/**
 * Changes of lanes and of the length, as pure functions from document to document. Rows outside 0..length are ignored.
 */
import { AXES, MAX_FRAMES, VARIANTS, heldKeys, lanesOf, legalLength } from "./variants.mjs";
import { activeSeeds, activeTracks, cutTracks, withSeeds, withTracks } from "./document.mjs";
import {
  canonicalCurve,
  cutCurve,
  cutRuns,
  entryAt,
  holdsOf,
  joinRuns,
  moveSeeds,
  movedRow,
  paintRuns,
  shiftCurve,
  shiftRuns,
  shortest,
  spliceCurve,
  valueAt,
  withCutSeeds,
} from "./tracks.mjs";

/** @typedef {import("./document.mjs").Timeline} Timeline */
/** @typedef {import("./document.mjs").Tracks} Tracks */
/** @typedef {import("./tracks.mjs").Entry} Entry */
/** @typedef {import("./tracks.mjs").Run} Run */

/** @param {string} lane */
export const isAxis = (lane) => AXES.includes(lane);

/** The names of the lanes that a document stores and shows. @param {Timeline} doc */
export function editableLanes(doc) {
  return lanesOf(VARIANTS[doc.variant])
    .filter((lane) => lane.kind !== "idle")
    .map((lane) => lane.id);
}

/**
 * `doc` without the text it was made from, which a lane edit makes out of date.
 * @param {Timeline} doc @returns {Timeline}
 */
export function withoutSource(doc) {
  if (!doc.source) return doc;
  const { source: _, ...rest } = doc;
  return rest;
}

/** @param {Timeline} doc @param {Tracks} tracks */
const put = (doc, tracks) => withoutSource(withTracks(doc, tracks));

/** @param {Timeline} doc @param {number} a @param {number} b @returns {[number, number]} */
export const inside = (doc, a, b) => [Math.max(0, Math.min(a, b)), Math.min(doc.length, Math.max(a, b))];

/**
 * Hold or release a key in rows a..b. Where one action rules out the others, those give way.
 * @param {Timeline} doc @param {string} lane @param {number} a @param {number} b @param {boolean} on
 * @returns {Timeline}
 */
export function paintKey(doc, lane, a, b, on) {
  const [from, to] = inside(doc, a, b);
  if (to <= from) return doc;
  const spec = VARIANTS[doc.variant];
  const tracks = { ...activeTracks(doc) };
  if (lane === "idle" && !on) return doc;
  const cleared = lane === "idle" || (spec.exclusive && on) ? heldKeys(spec) : [];
  for (const other of cleared) if (other !== lane) tracks[other] = paintRuns(tracks[other], from, to, false);
  if (lane !== "idle") tracks[lane] = paintRuns(tracks[lane], from, to, on);
  return put(doc, tracks);
}

/**
 * Whether `lane` holds anything at row `t`; for a camera lane, whether it moves.
 * @param {Timeline} doc @param {string} lane @param {number} t @returns {boolean}
 */
export function isOn(doc, lane, t) {
  const tracks = activeTracks(doc);
  if (isAxis(lane)) return valueAt(tracks[lane], t) !== 0;
  if (lane === "idle") return !heldKeys(VARIANTS[doc.variant]).some((key) => isOn(doc, key, t));
  return tracks[lane].some(([start, length]) => t >= start && t < start + length);
}

/**
 * Whether `lane` is held in every row of a..b.
 * @param {Timeline} doc @param {string} lane @param {number} a @param {number} b
 */
export function isAllOn(doc, lane, a, b) {
  const [from, to] = inside(doc, a, b);
  if (lane === "idle")
    return heldKeys(VARIANTS[doc.variant]).every((key) => !cutRuns(activeTracks(doc)[key], from, to).length);
  return activeTracks(doc)[lane].some(([start, length]) => start <= from && start + length >= to);
}

/**
 * Set a range, or clear it where it is all set already.
 * @param {Timeline} doc @param {string} lane @param {number} a @param {number} b
 * @param {number} [value] for a camera lane
 */
export function toggleRange(doc, lane, a, b, value = VARIANTS[doc.variant].camera.speed) {
  if (!isAxis(lane)) return paintKey(doc, lane, a, b, !isAllOn(doc, lane, a, b));
  const [from, to] = inside(doc, a, b);
  const all = cutCurve(activeTracks(doc)[lane], from, to).every((entry) => entry.length === 2 && entry[1] === value);
  return holdAxis(doc, lane, from, to, all ? 0 : value);
}

/** The camera value of the document's variant that is nearest. @param {Timeline} doc @param {number} value */
export function clampCamera(doc, value) {
  const { limit } = VARIANTS[doc.variant].camera;
  return shortest(Math.max(-limit, Math.min(limit, value)));
}

/** @param {Timeline} doc @param {string} axis @param {number} a @param {number} b @param {Entry[]} middle */
function spliceAxis(doc, axis, a, b, middle) {
  const tracks = activeTracks(doc);
  return put(doc, { ...tracks, [axis]: spliceCurve(tracks[axis], a, b, middle, doc.length) });
}

/**
 * Hold a camera value in rows a..b.
 * @param {Timeline} doc @param {string} axis @param {number} a @param {number} b @param {number} value
 */
export function holdAxis(doc, axis, a, b, value) {
  const [from, to] = inside(doc, a, b);
  return to > from ? spliceAxis(doc, axis, from, to, [[from, clampCamera(doc, value)]]) : doc;
}

/**
 * Raise a camera lane by `by` in rows a..b, in its own shape.
 * @param {Timeline} doc @param {string} axis @param {number} a @param {number} b @param {number} by
 */
export function raiseAxis(doc, axis, a, b, by) {
  const [from, to] = inside(doc, a, b);
  if (to <= from) return doc;
  const raised = (/** @type {number} */ value) => clampCamera(doc, Math.round((value + by) * 1e4) / 1e4);
  const middle = cutCurve(activeTracks(doc)[axis], from, to).map((entry) => {
    if (entry.length === 2) return /** @type {Entry} */ ([entry[0], raised(entry[1])]);
    return /** @type {Entry} */ ([entry[0], raised(entry[1]), entry[2], entry[3], raised(entry[4])]);
  });
  return spliceAxis(doc, axis, from, to, middle);
}

/**
 * Camera values, one a row, from row `start` on.
 * @param {Timeline} doc @param {string} axis @param {number} start @param {number[]} values
 */
export function drawAxis(doc, axis, start, values) {
  const [from, to] = inside(doc, start, start + values.length);
  if (to <= from) return doc;
  return spliceAxis(
    doc,
    axis,
    from,
    to,
    holdsOf(
      values.slice(from - start, to - start).map((value) => clampCamera(doc, value)),
      from,
    ),
  );
}

/**
 * A ramp from v0 at row a to v1 at row b.
 * @param {Timeline} doc @param {string} axis @param {number} a @param {number} b @param {number} v0 @param {number} v1
 * @param {string} easing
 */
export function rampAxis(doc, axis, a, b, v0, v1, easing) {
  if (b < a) return rampAxis(doc, axis, b, a, v1, v0, easing);
  const from = Math.max(0, a);
  const to = Math.min(doc.length, b);
  if (to <= from) return doc;
  return spliceAxis(doc, axis, from, to, [[from, clampCamera(doc, v0), easing, to - from, clampCamera(doc, v1)]]);
}

/**
 * Put one end of a ramp elsewhere, in time and in value. Where it leaves rows behind, the lane holds what is before
 * the ramp or where the ramp ends.
 * @param {Timeline} doc @param {string} axis @param {Entry} ramp @param {"start"|"stop"} end @param {number} t
 * @param {number} value
 */
export function moveRampEnd(doc, axis, ramp, end, t, value) {
  const tracks = activeTracks(doc);
  const [a, v0, easing, rows, v1] = /** @type {[number, number, string, number, number]} */ (ramp);
  const before = tracks[axis].filter((/** @type {Entry} */ e) => e[0] < a);
  const after = tracks[axis].filter((/** @type {Entry} */ e) => e[0] > a);
  const v = clampCamera(doc, value);
  const from = end === "start" ? Math.max(0, Math.min(t, a + rows - 1)) : a;
  const to = end === "stop" ? Math.min(doc.length, Math.max(t, a + 1)) : a + rows;
  /** @type {Entry} */
  const moved = [from, end === "start" ? v : v0, easing, to - from, end === "stop" ? v : v1];
  const rest = cutCurve([[a, moved[4] ?? 0], ...after], to, doc.length);
  return put(doc, { ...tracks, [axis]: canonicalCurve([...cutCurve(before, 0, from), moved, ...rest]) });
}

/**
 * Give every ramp that touches rows a..b another easing.
 * @param {Timeline} doc @param {string} axis @param {number} a @param {number} b @param {string} easing
 */
export function setEasing(doc, axis, a, b, easing) {
  const tracks = activeTracks(doc);
  const lane = tracks[axis].map((/** @type {Entry} */ e) =>
    e.length === 5 && e[0] < b && e[0] + e[3] > a ? [e[0], e[1], easing, e[3], e[4]] : e,
  );
  return put(doc, { ...tracks, [axis]: lane });
}

/** The ramp that holds row `t`, if any. @param {Timeline} doc @param {string} axis @param {number} t */
export function rampAt(doc, axis, t) {
  const entry = activeTracks(doc)[axis][entryAt(activeTracks(doc)[axis], t)];
  return entry && entry.length === 5 && t < entry[0] + entry[3] ? entry : null;
}

/** Clear lanes in rows a..b. @param {Timeline} doc @param {string[]} lanes @param {number} a @param {number} b */
export function clearRange(doc, lanes, a, b) {
  return lanes.reduce(
    (now, lane) => (isAxis(lane) ? holdAxis(now, lane, a, b, 0) : paintKey(now, lane, a, b, false)),
    doc,
  );
}

/**
 * What lanes hold in rows a..b, moved to row 0.
 * @param {Timeline} doc @param {string[]} lanes @param {number} a @param {number} b @returns {Tracks}
 */
export function takeRange(doc, lanes, a, b) {
  const tracks = activeTracks(doc);
  return Object.fromEntries(
    lanes
      .filter((lane) => lane !== "idle")
      .map((lane) => [
        lane,
        isAxis(lane) ? shiftCurve(cutCurve(tracks[lane], a, b), -a) : shiftRuns(cutRuns(tracks[lane], a, b), -a),
      ]),
  );
}

/**
 * Replace rows at..at+rows of the lanes that `piece` has.
 * @param {Timeline} doc @param {Tracks} piece from row 0 @param {number} at @param {number} rows @returns {Timeline}
 */
export function putRange(doc, piece, at, rows) {
  const [from, to] = inside(doc, at, at + rows);
  if (to <= from) return doc;
  let now = doc;
  for (const [lane, content] of Object.entries(piece)) {
    if (isAxis(lane)) {
      const cut = cutCurve(content, from - at, to - at);
      now = spliceAxis(now, lane, from, to, shiftCurve(cut, at));
      continue;
    }
    now = paintKey(now, lane, from, to, false);
    for (const [start, length] of cutRuns(content, from - at, to - at))
      now = paintKey(now, lane, start + at, start + at + length, true);
  }
  return now;
}

/**
 * `piece` over and over until `to`.
 * @param {Timeline} doc @param {Tracks} piece @param {number} rows @param {number} at @param {number} to
 */
export function repeatRange(doc, piece, rows, at, to) {
  let now = doc;
  for (let t = at; t < to; t += rows) now = putRange(now, piece, t, Math.min(rows, to - t));
  return now;
}

/**
 * Move (or copy) what lanes hold in rows a..b by some rows.
 * @param {Timeline} doc @param {string[]} lanes @param {number} a @param {number} b @param {number} by
 * @param {boolean} copy @returns {Timeline}
 */
export function moveRange(doc, lanes, a, b, by, copy) {
  if (!by && !copy) return doc;
  const piece = takeRange(doc, lanes, a, b);
  const base = copy ? doc : clearRange(doc, lanes, a, b);
  return putRange(base, piece, a + by, b - a);
}

/**
 * Move one run to another lane and place.
 * @param {Timeline} doc @param {string} lane @param {Run} run @param {string} target @param {number} start
 * @param {boolean} copy
 */
export function moveRun(doc, lane, run, target, start, copy) {
  const base = copy ? doc : paintKey(doc, lane, run[0], run[0] + run[1], false);
  return paintKey(base, target, start, start + run[1], true);
}

/**
 * Put the edges of a run elsewhere.
 * @param {Timeline} doc @param {string} lane @param {Run} run @param {number} a @param {number} b
 */
export function resizeRun(doc, lane, run, a, b) {
  const base = paintKey(doc, lane, run[0], run[0] + run[1], false);
  return paintKey(base, lane, a, b, true);
}

/** @param {Timeline} doc @param {number} at @param {number} by @param {number} length */
function moveSigns(doc, at, by, length) {
  const markers = doc.markers
    .filter((m) => by > 0 || m.t < at || m.t >= at - by)
    .map((m) => ({ ...m, t: Math.min(length, movedRow(m.t, at, by)) }));
  const loop = doc.loop && /** @type {[number, number]} */ (doc.loop.map((t) => Math.min(length, movedRow(t, at, by))));
  return { markers, loop: loop && loop[0] < loop[1] ? loop : null };
}

/**
 * A camera lane is still in what `length` has beyond `end`.
 * @param {number} length @param {number} end @returns {Entry[]}
 */
const rest = (length, end) => (length > end ? [[end, 0]] : []);

/**
 * Make room for idle rows at `at`: everything later moves. The length grows to the next whole block. Nothing changes
 * where it would be too long.
 * @param {Timeline} doc @param {number} at @param {number} rows @returns {Timeline}
 */
export function rippleInsert(doc, at, rows) {
  if (doc.length + rows > MAX_FRAMES) return doc;
  const length = legalLength(doc.length + rows);
  const open = { ...doc, length };
  const tracks = Object.fromEntries(
    Object.entries(activeTracks(doc)).map(([lane, content]) => {
      if (!isAxis(lane)) {
        return [lane, joinRuns([...cutRuns(content, 0, at), ...shiftRuns(cutRuns(content, at, doc.length), rows)])];
      }
      const after = shiftCurve(cutCurve(content, at, doc.length), rows);
      return [
        lane,
        canonicalCurve([...cutCurve(content, 0, at), [at, 0], ...after, ...rest(length, doc.length + rows)]),
      ];
    }),
  );
  const seeded = withSeeds(
    { ...open, ...moveSigns(doc, at, rows, length) },
    moveSeeds(activeSeeds(doc), at, rows, length),
  );
  return put(seeded, tracks);
}

/**
 * Take rows out at `at`: everything later moves. With branches the length stays, or the others would lose their ends.
 * @param {Timeline} doc @param {number} at @param {number} rows @returns {Timeline}
 */
export function rippleDelete(doc, at, rows) {
  const gone = Math.min(rows, doc.length - at);
  if (gone <= 0) return doc;
  const length = doc.branches.length ? doc.length : legalLength(doc.length - gone);
  const tracks = Object.fromEntries(
    Object.entries(activeTracks(doc)).map(([lane, content]) => {
      if (!isAxis(lane)) {
        return [
          lane,
          joinRuns([...cutRuns(content, 0, at), ...shiftRuns(cutRuns(content, at + gone, doc.length), -gone)]),
        ];
      }
      const after = shiftCurve(cutCurve(content, at + gone, doc.length), -gone);
      return [lane, canonicalCurve([...cutCurve(content, 0, at), ...after, ...rest(length, doc.length - gone)])];
    }),
  );
  const next = { ...doc, ...moveSigns(doc, at, -gone, length), length };
  return put(withSeeds(next, moveSeeds(activeSeeds(doc), at, -gone, length)), cutTracks(tracks, length));
}

/** @param {Timeline} doc @param {number} length @returns {Timeline} */
function cutBranches(doc, length) {
  const branches = doc.branches.map((b) =>
    withCutSeeds({ ...b, fork: Math.min(b.fork, length), tracks: cutTracks(b.tracks, length) }, length),
  );
  return withCutSeeds({ ...doc, branches, tracks: cutTracks(doc.tracks, length) }, length);
}

/**
 * Take the lanes, markers, seeds and length that a script says; branches stay.
 * @param {Timeline} doc @param {Timeline} made of the script @returns {Timeline}
 */
export function takeScript(doc, made) {
  const { tracks, length, source } = made;
  const loop = doc.loop && doc.loop[1] <= length ? doc.loop : null;
  const next = { ...doc, length, markers: made.markers, loop, source };
  const cut = length < doc.length ? cutBranches(next, length) : next;
  return withTracks(withSeeds(cut, made.seeds ?? []), tracks);
}

/**
 * Make the timeline longer or shorter; what lies after the end is lost.
 * @param {Timeline} doc @param {number} rows @returns {Timeline}
 */
export function setLength(doc, rows) {
  const length = legalLength(Math.min(rows, MAX_FRAMES));
  if (length === doc.length) return doc;
  const markers = doc.markers.filter((m) => m.t <= length);
  const loop =
    doc.loop && doc.loop[0] < length
      ? /** @type {[number, number]} */ ([doc.loop[0], Math.min(length, doc.loop[1])])
      : null;
  const next = { ...withoutSource(doc), markers, loop, length };
  return length < doc.length ? cutBranches(next, length) : next;
}
