// @ts-check
/**
 * Runs and curves: the two kinds of lane in a document, as pure functions.
 *
 * A key lane is a sorted list of runs [start, length] with gaps between them. A camera lane is a sorted list of
 * entries: [t, v] holds v from row t on, [t, v0, ease, len, v1] goes from v0 at row t to v1 at row t + len.
 */

/** @typedef {[number, number]} Run */
/** @typedef {[number, number] | [number, number, string, number, number]} Entry */

/** @param {readonly Run[]} runs @returns {Run[]} sorted, joined where they touch, empty ones left out */
export function joinRuns(runs) {
  /** @type {Run[]} */
  const out = [];
  for (const [start, length] of [...runs].sort((a, b) => a[0] - b[0])) {
    if (length <= 0) continue;
    const last = out[out.length - 1];
    if (last && start <= last[0] + last[1]) last[1] = Math.max(last[1], start + length - last[0]);
    else out.push([start, length]);
  }
  return out;
}

/**
 * The part of `runs` in rows a..b (b excluded), in their own places.
 * @param {readonly Run[]} runs @param {number} a @param {number} b
 */
export function cutRuns(runs, a, b) {
  /** @type {Run[]} */
  const out = [];
  for (const [start, length] of runs) {
    const from = Math.max(a, start);
    const to = Math.min(b, start + length);
    if (to > from) out.push([from, to - from]);
  }
  return out;
}

/** @param {readonly Run[]} runs @param {number} a @param {number} b @param {boolean} on */
export function paintRuns(runs, a, b, on) {
  const rest = [...cutRuns(runs, 0, a), ...cutRuns(runs, b, Infinity)];
  return joinRuns(on && b > a ? [...rest, [a, b - a]] : rest);
}

/** @param {readonly Run[]} runs @param {number} by @returns {Run[]} */
export function shiftRuns(runs, by) {
  return runs.map(([start, length]) => [start + by, length]);
}

/** The index of the run that holds row `t`, or -1. @param {readonly Run[]} runs @param {number} t */
export function runAt(runs, t) {
  let low = 0;
  let high = runs.length - 1;
  while (low <= high) {
    const mid = (low + high) >> 1;
    if (t < runs[mid][0]) high = mid - 1;
    else if (t >= runs[mid][0] + runs[mid][1]) low = mid + 1;
    else return mid;
  }
  return -1;
}

/** The way from 0 to 1 of easing `name` at u in 0..1. @param {string} name @param {number} u */
export function ease(name, u) {
  if (name === "smooth") return u * u * (3 - 2 * u);
  if (name === "in") return u * u;
  if (name === "out") return u * (2 - u);
  return u;
}

/**
 * The index of the last entry that starts at or before row `t`, or -1.
 * @param {readonly Entry[]} entries @param {number} t
 */
export function entryAt(entries, t) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (entries[mid][0] <= t) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}

/** @param {Entry} entry @param {number} t a row at or after its start */
function valueOf(entry, t) {
  if (entry.length === 2) return entry[1];
  const [start, from, name, length, to] = entry;
  return t >= start + length ? to : from + (to - from) * ease(name, (t - start) / length);
}

/** The value of a camera lane at row `t`. @param {readonly Entry[]} entries @param {number} t */
export function valueAt(entries, t) {
  const i = entryAt(entries, t);
  return i < 0 ? 0 : valueOf(entries[i], t);
}

/** The values at rows a..b, b excluded. @param {readonly Entry[]} entries @param {number} a @param {number} b */
export function sampleCurve(entries, a, b) {
  const out = new Array(Math.max(0, b - a));
  let i = entryAt(entries, a);
  for (let t = a; t < b; t++) {
    while (i + 1 < entries.length && entries[i + 1][0] <= t) i++;
    out[t - a] = i < 0 ? 0 : valueOf(entries[i], t);
  }
  return out;
}

/** The shortest decimal that is the same float32, so that documents stay small and exact. @param {number} value */
export function shortest(value) {
  const single = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === single) return short + 0;
  }
  return value;
}

/**
 * The same curve without entries that change nothing, or that another one at the same row replaces.
 * @param {readonly Entry[]} entries @returns {Entry[]}
 */
export function canonicalCurve(entries) {
  /** @type {Entry[]} */
  const out = [];
  let now = 0;
  for (const [i, entry] of entries.entries()) {
    if (entries[i + 1]?.[0] === entry[0]) continue;
    const flat = entry.length === 2 || entry[1] === entry[4];
    if (flat && entry[1] === now) continue;
    now = (flat ? entry[1] : /** @type {number} */ (entry[4])) + 0;
    out.push(
      flat
        ? [entry[0], now]
        : [entry[0], entry[1] + 0, /** @type {string} */ (entry[2]), /** @type {number} */ (entry[3]), now],
    );
  }
  return out;
}

/**
 * Holds that make exactly `values` from row `start` on.
 * @param {readonly number[]} values @param {number} start @returns {Entry[]}
 */
export function holdsOf(values, start) {
  /** @type {Entry[]} */
  const out = [];
  values.forEach((value, i) => {
    if (!i || value !== values[i - 1]) out.push([start + i, shortest(value)]);
  });
  return out;
}

/**
 * The part of a curve in rows a..b in its own place, beginning with its value at a. A linear ramp that is cut stays
 * a ramp; one with an easing becomes a hold per row where it is cut.
 * @param {readonly Entry[]} entries @param {number} a @param {number} b @returns {Entry[]}
 */
export function cutCurve(entries, a, b) {
  /** @type {Entry[]} */
  const out = [];
  if (b <= a) return out;
  const first = entryAt(entries, a);
  if (first < 0 || entries[first][0] !== a) out.push(...cutEntry(first < 0 ? [0, 0] : entries[first], a, b));
  for (let i = Math.max(0, first); i < entries.length && entries[i][0] < b; i++) {
    if (entries[i][0] >= a) out.push(...cutEntry(entries[i], entries[i][0], b));
  }
  return out;
}

/** @param {Entry} entry @param {number} a @param {number} b @returns {Entry[]} */
function cutEntry(entry, a, b) {
  if (entry.length === 2) return [[a, entry[1]]];
  const [start, , name, length] = entry;
  const end = start + length;
  if (a >= end) return [[a, entry[4]]];
  if (a === start && b >= end) return [entry];
  const stop = Math.min(b, end);
  if (name === "linear") return [[a, shortest(valueOf(entry, a)), name, stop - a, shortest(valueOf(entry, stop))]];
  const values = sampleCurve([entry], a, stop);
  return b > end ? [...holdsOf(values, a), [end, entry[4]]] : holdsOf(values, a);
}

/** @param {readonly Entry[]} entries @param {number} by @returns {Entry[]} */
export function shiftCurve(entries, by) {
  return entries.map((entry) => /** @type {Entry} */ ([entry[0] + by, ...entry.slice(1)]));
}

/**
 * `entries` with rows a..b replaced by `middle` (which begins at a), and everything after b as it was.
 * @param {readonly Entry[]} entries @param {number} a @param {number} b @param {readonly Entry[]} middle
 * @param {number} length rows of the document
 */
export function spliceCurve(entries, a, b, middle, length) {
  const before = a > 0 ? cutCurve(entries, 0, a) : [];
  const after = b < length ? cutCurve(entries, b, length) : [];
  return canonicalCurve([...before, ...middle, ...after]);
}

/** @typedef {import("./document.mjs").SeedChange} SeedChange */

/**
 * Changes of the seed before row `length`.
 * @param {SeedChange[]} seeds @param {number} length @returns {SeedChange[]}
 */
const cutSeeds = (seeds, length) => seeds.filter(([t]) => t < length);

/**
 * A timeline or a branch whose changes of the seed end before row `length`.
 * @template {{seeds?: SeedChange[]}} T @param {T} of @param {number} length @returns {T}
 */
export const withCutSeeds = (of, length) => (of.seeds ? { ...of, seeds: cutSeeds(of.seeds, length) } : of);

/**
 * Changes of the seed, moved by what was put in at `at` or taken out after it; those in what is taken out go with it.
 * @param {SeedChange[]} seeds @param {number} at @param {number} by @param {number} length @returns {SeedChange[]}
 */
export function moveSeeds(seeds, at, by, length) {
  const left = seeds.filter(([t]) => by > 0 || t < at || t >= at - by);
  return cutSeeds(
    left.map(([t, seed]) => [movedRow(t, at, by), seed]),
    length,
  );
}

/**
 * A row moved by what was put in at `at` or taken out after it.
 * @param {number} t @param {number} at @param {number} by
 */
export const movedRow = (t, at, by) => (t < at ? t : Math.max(at, t + by));
