/** Exact camera values: what is typed, what stands at the pointer, fine drags, ramps by keyboard, turns in degrees. */
import assert from "node:assert/strict";
import test from "node:test";
import { activeTracks } from "../../../web/model/document.mjs";
import { VARIANTS } from "../../../web/model/variants.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { degreesText, signed, turnOf } from "../../../web/model/turns.mjs";
import { readExact } from "../../../web/timeline/editing/exact.mjs";
import { handleKey } from "../../../web/timeline/input/keys.mjs";
import { begin } from "../../../web/timeline/input/press.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { readoutAt } from "../../../web/timeline/view/readout.mjs";

const words = translator("en");
const { camera } = VARIANTS.universal;
const read = (text, rows = 50) => readExact(text, words, camera, rows);

function editorOf(script = "w 129f") {
  const editor = new Editor("universal", words);
  editor.load(script);
  editor.view.layout(editor.doc, 800, 400);
  return editor;
}
const yaw = (editor) => activeTracks(editor.doc).yaw;
const pressed = (key, more = {}) => ({ key, code: key, preventDefault() {}, stopPropagation() {}, ...more });

test("values, ramps and turns are read as people write them", () => {
  assert.deepEqual(read("0.1"), { v0: 0.1, v1: 0.1, easing: null, rows: null });
  assert.deepEqual(read("0 -> 0.1"), { v0: 0, v1: 0.1, easing: "", rows: null });
  assert.deepEqual(read("−.05→1,5° smooth in 1b"), { v0: -0.05, v1: 0.1, easing: "smooth", rows: 12 });
  assert.deepEqual(read("0 -> 0.1 in"), { v0: 0, v1: 0.1, easing: "in", rows: null });
  assert.deepEqual(read("0.1 in 480 ms").rows, 12);
  assert.deepEqual(read("90 deg in 2 s"), { v0: 0.12, v1: 0.12, easing: null, rows: 50 });
  assert.deepEqual(read("turn -90deg", 60), { v0: -0.1, v1: -0.1, easing: null, rows: null });
});

test("what cannot be is said with what can", () => {
  assert.match(read("fast").error, /0 -> 0\.1.*90 deg in 2 s/);
  assert.match(read("0 -> 0.1 wild").error, /“wild”.*smooth/);
  assert.match(read("360 deg in 0.4 s").error, /at least 0\.96 s \(24 frames\)/);
  assert.match(read("0.1 in 0 f").error, /at least 1 f/);
  assert.match(read("0 -> 3").error, /3/);
});

test("a typed turn turns as far as was asked, whatever the time", () => {
  for (const [text, degrees] of [
    ["90 deg in 2 s", 90],
    ["37.5deg in 31 f", 37.5],
    ["turn -180°", -180],
  ]) {
    const { v0, rows } = read(text);
    const turn = turnOf([[0, v0]], camera, 0, rows ?? 50);
    assert.ok(Math.abs(turn - degrees) < 0.01, `${text}: ${turn}`);
  }
  assert.deepEqual(["0.1", "-0.05", "0.00001"].map(Number).map(signed), ["+0.1", "−0.05", "0"]);
  assert.deepEqual([1.5, 37.512, -0.001].map(degreesText), ["1.5", "37.5", "0"]);
});

test("the line under the lanes says the value in degrees, and how far a selection turns", () => {
  const editor = editorOf("idle 20; w+yaw(0.1) 40; idle 69");
  editor.moveTo(30, "yaw");
  assert.match(editor.status, /yaw \+0\.1 \(1\.5° a frame\)/);
  editor.select(20, 60, ["yaw"]);
  assert.match(editor.status, /yaw turns 60°/);
});

test("while a camera value is drawn it stands at the pointer with its time; Ctrl makes it fine", () => {
  const editor = editorOf();
  const row = editor.view.rows.find(({ id }) => id === "yaw");
  const at = (t, share, fine = false) => ({
    x: editor.view.x(t + 0.5),
    y: row.top + row.height * share,
    shift: false,
    alt: false,
    fine,
  });
  const start = at(10, 0.5);
  assert.equal(readoutAt(editor, start, false).text, "0 · 0° a frame · 0.40 s");
  const drag = begin(editor, start);
  drag.move(at(35, 0.1));
  const coarse = yaw(editor).at(-2)[1];
  assert.equal(
    readoutAt(editor, at(35, 0.1), true).text,
    `${signed(coarse)} · ${degreesText(coarse * 15)}° a frame · 1.40 s`,
  );
  drag.move(at(35, 0.1, true));
  const fine = yaw(editor).at(-2)[1];
  assert.ok(fine > 0 && Math.abs(fine * 10 - coarse) < 0.01, `${fine} ${coarse}`);
  assert.equal(readoutAt(editor, at(35, 0.1, true), true).text.split(" ")[0], signed(editor.drawn));
  drag.end(at(35, 0.1, true));
  editor.drawn = null;
  editor.tool = "ramp";
  const ramp = begin(editor, at(60, 0.5));
  ramp.move(at(85, 0.2));
  assert.match(readoutAt(editor, at(85, 0.2), true).text, /^0 → \+0\.\d+ · 25 frames · 1\.00 s$/);
  ramp.end(at(85, 0.2));
  assert.equal(readoutAt(editor, { x: 5, y: row.top + 5 }, false), null);
});

test("while a key is painted its length stands at the pointer, in seconds too", () => {
  const editor = editorOf("idle 129f");
  const row = editor.view.rows.find(({ id }) => id === "w");
  const at = (t) => ({ x: editor.view.x(t + 0.5), y: row.top + 8, shift: false, alt: false });
  const drag = begin(editor, at(10));
  drag.move(at(34));
  assert.equal(readoutAt(editor, at(34), true).text, "W · 25 frames · 1.00 s");
  assert.equal(readoutAt(editor, at(34), false), null, "not while it only lies there");
});

test("ramps by keyboard: over a selection, and the end of one", () => {
  const editor = editorOf("idle 20; w+yaw(0.1) 40; idle 69");
  editor.select(20, 60, ["yaw"]);
  handleKey(editor, pressed("ArrowUp", { altKey: true, shiftKey: true }), {});
  assert.deepEqual(
    yaw(editor).find(([t]) => t === 20),
    [20, 0.1, "linear", 40, 0.11],
  );
  handleKey(editor, pressed("ArrowUp", { altKey: true, shiftKey: true }), {});
  assert.deepEqual(
    yaw(editor).find(([t]) => t === 20),
    [20, 0.1, "linear", 40, 0.12],
  );
  editor.selection = null;
  editor.moveTo(25, "yaw");
  handleKey(editor, pressed("ArrowDown", { altKey: true, shiftKey: true }), {});
  assert.deepEqual(
    yaw(editor).find(([t]) => t === 20),
    [20, 0.1, "linear", 40, 0.11],
  );
  editor.undo();
  editor.undo();
  editor.undo();
  assert.deepEqual(
    yaw(editor).find(([t]) => t === 20),
    [20, 0.1],
  );
});
