// Edits against a model that keeps every row by itself: what a user sees is what the document says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { canonicalDocument, emptyDocument, readDocument, rowsOf, writeDocument } from "../../../web/model/document.mjs";
import { convertVariant } from "../../../web/model/convert.mjs";
import * as edit from "../../../web/model/edit.mjs";
import * as signs from "../../../web/model/edit_signs.mjs";
import { blockStates, firstDifference } from "../../../web/model/compare.mjs";
import {
  VARIANTS,
  blockOfInput,
  cameraAxes,
  framesOfBlocks,
  heldKeys,
  legalLength,
} from "../../../web/model/variants.mjs";
import { parseScript, printScript } from "../../../web/script/script.mjs";
import { warningsOf } from "../../../web/model/warnings.mjs";

/** A random number generator that gives the same numbers everywhere. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
}

/** Rows by lane: true or false for keys, a number for the camera. */
function lanesOf(doc) {
  const { keyboard, mouse } = rowsOf(doc);
  const spec = VARIANTS[doc.variant];
  const out = {};
  for (const key of heldKeys(spec)) out[key] = keyboard.map((row) => row[spec.keys.indexOf(key)] === 1);
  for (const axis of cameraAxes(spec)) out[axis] = mouse.map((row) => row[axis === "pitch" ? 0 : 1]);
  return out;
}

const idleOf = (doc, lane) => (edit.isAxis(lane) ? 0 : false);

/** One random edit: [the document after it, the rows it should have]. */
function randomEdit(doc, next) {
  const lanes = edit.editableLanes(doc);
  const lane = lanes[next(lanes.length)];
  const a = next(doc.length);
  const b = a + 1 + next(40);
  const end = Math.min(b, doc.length);
  const model = structuredClone(lanesOf(doc));
  const kind = next(8);
  const set = (name, value) => {
    for (let t = a; t < end; t++) model[name][t] = value;
  };
  if (kind < 3 && !edit.isAxis(lane)) {
    const on = kind > 0;
    if (on && VARIANTS[doc.variant].exclusive) for (const other of heldKeys(VARIANTS[doc.variant])) set(other, false);
    set(lane, on);
    return [edit.paintKey(doc, lane, a, b, on), model];
  }
  if (kind < 3) {
    const value = (next(61) - 30) / 100;
    set(lane, value);
    return [edit.holdAxis(doc, lane, a, b, value), model];
  }
  if (kind === 3 && edit.isAxis(lane)) {
    const [v0, v1, easing] = [(next(41) - 20) / 100, (next(41) - 20) / 100, ["linear", "smooth", "in", "out"][next(4)]];
    const way = { linear: (u) => u, smooth: (u) => u * u * (3 - 2 * u), in: (u) => u * u, out: (u) => u * (2 - u) }[
      easing
    ];
    for (let t = a; t < end; t++) model[lane][t] = v0 + (v1 - v0) * way((t - a) / (end - a));
    return [edit.rampAxis(doc, lane, a, b, v0, v1, easing), model];
  }
  if (kind === 4) {
    const rows = 1 + next(20);
    const length = legalLength(doc.length + rows);
    for (const name of lanes) {
      const kept = [...model[name].slice(0, a), ...new Array(rows).fill(idleOf(doc, name)), ...model[name].slice(a)];
      model[name] = [...kept, ...new Array(length - kept.length).fill(idleOf(doc, name))];
    }
    return [edit.rippleInsert(doc, a, rows), model];
  }
  if (kind === 5 && doc.length > 60) {
    const rows = Math.min(1 + next(20), doc.length - a);
    const length = legalLength(doc.length - rows);
    for (const name of lanes) {
      const kept = [...model[name].slice(0, a), ...model[name].slice(a + rows)];
      model[name] = [...kept, ...new Array(Math.max(0, length - kept.length)).fill(idleOf(doc, name))].slice(0, length);
    }
    return [edit.rippleDelete(doc, a, rows), model];
  }
  if (kind === 6) {
    const rows = Math.min(end - a, 12);
    const by = Math.min(next(30), doc.length - a - rows);
    const piece = Object.fromEntries(lanes.map((name) => [name, model[name].slice(a, a + rows)]));
    for (const name of lanes) {
      for (let t = a; t < a + rows; t++) model[name][t] = idleOf(doc, name);
      for (let t = 0; t < rows; t++) model[name][a + by + t] = piece[name][t];
    }
    return [edit.moveRange(doc, lanes, a, a + rows, by, false), model];
  }
  set(lane, idleOf(doc, lane));
  return [edit.clearRange(doc, [lane], a, b), model];
}

for (const variant of Object.keys(VARIANTS)) {
  test(`1,500 random edits of ${variant} do what they say, and every document is valid`, () => {
    const next = random(7);
    let doc = emptyDocument(variant, 105);
    for (let i = 0; i < 1500; i++) {
      if (doc.length > 900) doc = edit.setLength(doc, 105);
      const [after, model] = randomEdit(doc, next);
      const got = lanesOf(after);
      for (const lane of edit.editableLanes(after)) {
        const wanted = model[lane];
        assert.equal(got[lane].length, wanted.length, `length of ${lane} after edit ${i}`);
        const wrong = got[lane].findIndex((v, t) =>
          typeof v === "number" ? Math.abs(v - wanted[t]) > 1e-6 : v !== wanted[t],
        );
        assert.equal(wrong, -1, `${lane} row ${wrong} after edit ${i}: ${got[lane][wrong]} not ${wanted[wrong]}`);
      }
      assert.deepEqual(canonicalDocument(JSON.parse(writeDocument(after))).tracks, after.tracks);
      doc = after;
    }
  });

  test(`scripts of ${variant} give the same lanes back`, () => {
    const next = random(11);
    let doc = emptyDocument(variant, 105);
    for (let i = 0; i < 400; i++) {
      [doc] = randomEdit(doc.length > 600 ? edit.setLength(doc, 105) : doc, next);
      const { document } = parseScript(printScript(doc));
      assert.deepEqual([document.tracks, document.length, document.variant], [doc.tracks, doc.length, variant]);
      const again = readDocument(writeDocument(document));
      assert.deepEqual(again.source, document.source);
    }
  });
}

test("the first row that differs is the first row that differs", () => {
  const next = random(3);
  let doc = emptyDocument("universal", 141);
  for (let i = 0; i < 500; i++) {
    const [after] = randomEdit(doc, next);
    const [one, two] = [rowsOf(doc), rowsOf(after)];
    let t = 0;
    const end = Math.min(doc.length, after.length);
    const row = (rows) => JSON.stringify([rows.keyboard[t], rows.mouse[t]]);
    while (t < end && row(one) === row(two)) t++;
    assert.equal(firstDifference(doc, after), t < end ? t : Infinity);
    const states = blockStates(after, doc);
    const dirty = t < end ? blockOfInput(t) : Infinity;
    states.forEach((state, block) =>
      assert.equal(state === "done", block < dirty && framesOfBlocks(block + 1) <= doc.length),
    );
    doc = after.length > 600 ? edit.setLength(after, 141) : after;
  }
});

test("a conversion keeps what it can and names what it cannot", () => {
  let doc = emptyDocument("universal", 105);
  doc = edit.paintKey(doc, "w", 0, 40, true);
  doc = edit.paintKey(doc, "a", 10, 20, true);
  doc = edit.holdAxis(doc, "yaw", 5, 9, 0.1);
  const there = convertVariant(doc, "templerun");
  assert.deepEqual(there.doc.tracks.side_left, [[10, 10]]);
  assert.deepEqual(
    there.lost.map((l) => l.lane),
    ["w", "yaw"],
  );
  assert.deepEqual(convertVariant(emptyDocument("universal"), "gta_drive").lost, []);
  canonicalDocument(there.doc);
});

test("warnings have a place", () => {
  let doc = emptyDocument("universal", 105);
  doc = edit.paintKey(doc, "w", 0, 40, true);
  doc = edit.paintKey(doc, "s", 30, 50, true);
  doc = edit.holdAxis(doc, "yaw", 5, 9, 0.5);
  doc = edit.holdAxis(doc, "pitch", 60, 90, 0.1);
  const found = warningsOf(doc).map(({ code, lane, t, length }) => [code, lane, t, length]);
  assert.deepEqual(found, [
    ["fast-camera", "yaw", 5, 4],
    ["opposite", "s", 30, 10],
    ["sustained-up", "pitch", 60, 30],
  ]);
  assert.deepEqual(warningsOf(edit.holdAxis(doc, "pitch", 80, 90, 0)).length, 2);
});

test("markers and loop move with the rows around them", () => {
  let doc = signs.setMarker(emptyDocument("universal", 105), 50, "  a  name ");
  assert.deepEqual(doc.markers, [{ t: 50, name: "a name" }]);
  doc = signs.setLoop(doc, [40, 60]);
  const longer = edit.rippleInsert(doc, 45, 12);
  assert.deepEqual([longer.markers[0].t, longer.loop], [62, [40, 72]]);
  const shorter = edit.rippleDelete(longer, 60, 12);
  assert.deepEqual([shorter.markers, shorter.loop], [[], [40, 60]]);
  assert.deepEqual(signs.setMarker(doc, 50, "").markers, []);
});

test("an end of a ramp goes anywhere, and no other row changes but those it passes", () => {
  const next = random(23);
  const same = (got, wanted, row, i) =>
    assert.ok(Math.abs(got - wanted) < 1e-6, `row ${row} of case ${i}: ${got} not ${wanted}`);
  for (let i = 0; i < 400; i++) {
    let doc = emptyDocument("universal", 105);
    for (let j = 0; j < 4; j++)
      doc = edit.rampAxis(
        doc,
        "yaw",
        next(100),
        next(105),
        (next(41) - 20) / 100,
        (next(41) - 20) / 100,
        ["linear", "smooth"][next(2)],
      );
    doc = edit.holdAxis(doc, "yaw", next(60), 60 + next(45), (next(5) - 2) / 10);
    const ramps = doc.tracks.yaw.filter((entry) => entry.length === 5);
    if (!ramps.length) continue;
    const ramp = ramps[next(ramps.length)];
    const [a, v0, , rows] = ramp;
    const end = next(2) ? "start" : "stop";
    const [t, value] = [next(106), (next(41) - 20) / 100];
    const after = edit.moveRampEnd(doc, "yaw", ramp, end, t, value);
    canonicalDocument(JSON.parse(writeDocument(after)));
    const [before, now] = [lanesOf(doc).yaw, lanesOf(after).yaw];
    const [from, to] = end === "start" ? [Math.min(t, a + rows - 1), a + rows] : [a, Math.max(t, a + 1)];
    for (let row = 0; row < Math.min(from, a); row++) same(now[row], before[row], row, i);
    if (end === "start") {
      for (let row = a + rows; row < 105; row++) same(now[row], before[row], row, i);
      assert.ok(Math.abs(now[from] - value) < 1e-6);
    } else {
      assert.ok(Math.abs(now[a] - v0) < 1e-6);
      for (let row = Math.max(to, a + rows); row < 105; row++)
        if (doc.tracks.yaw.some((e) => e[0] > a && e[0] <= row)) same(now[row], before[row], row, i);
    }
  }
});
