/** Places as people write them, the ruler in their unit, jumps and selections by block and second, undo as a list. */
import assert from "node:assert/strict";
import test from "node:test";
import { placeText, readPlace, ticks } from "../../../web/model/places.mjs";
import { emptyDocument } from "../../../web/model/document.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { handleKey } from "../../../web/timeline/input/keys.mjs";
import { begin } from "../../../web/timeline/input/press.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import * as edit from "../../../web/model/edit.mjs";

const words = translator("en");
const doc = emptyDocument("universal", 129);

function editorOf() {
  const editor = new Editor("universal", words);
  editor.load("idle 129f");
  editor.view.layout(editor.doc, 800, 400);
  return editor;
}
function press(editor, key, ...held) {
  const more = Object.fromEntries(held.map((name) => [`${name}Key`, true]));
  const event = { key, code: key, preventDefault() {}, stopPropagation() {}, ...more };
  assert.ok(handleKey(editor, event, {}), key);
}
const selected = ({ selection }) => selection && [selection.a, selection.b];

test("places and stretches are read in frames, seconds and blocks", () => {
  const read = (text) => {
    const place = readPlace(text, doc);
    return place && [place.a, place.b, place.range];
  };
  assert.deepEqual(read("36"), [36, 37, false]);
  assert.deepEqual(read("1.5 s"), [38, 38, false]);
  assert.deepEqual(read("b3"), [32, 44, false]);
  assert.deepEqual(read("1s - 2s"), [25, 50, true]);
  assert.deepEqual(read("block 3 – b5"), [32, 68, true]);
  assert.deepEqual(read("20..10"), [10, 21, true]);
  assert.deepEqual(read("b9 - b99"), [104, 129, true]);
  for (const text of ["", "soon", "1.5", "b", "1 - 2 - 3", "1s -", "900"]) assert.equal(read(text), null, text);
});

test("the ruler's marks meet the blocks, or whole seconds", () => {
  assert.deepEqual(ticks("blocks", 0, 60, 6).minor, [0, 8, 20, 32, 44, 56]);
  assert.deepEqual(
    ticks("blocks", 0, 60, 6).major.map(({ label }) => label),
    ["b0", "b1", "b2", "b3", "b4", "b5"],
  );
  assert.deepEqual(
    ticks("seconds", 0, 129, 3).major.map(({ t, label }) => [t, label]),
    [0, 25, 50, 75, 100, 125].map((t) => [t, `${t / 25}s`]),
  );
  assert.ok(ticks("frames", 0, 1437, 0.4).major.length < 12);
  assert.ok(ticks("blocks", 0, 1437, 0.4).major.length < 12);
  assert.deepEqual(
    ["frames", "seconds", "blocks"].map((unit) => placeText(44, unit)),
    ["44", "1.76s", "b4"],
  );
});

test("the ruler's unit changes by a click on its number, and by U", () => {
  const editor = editorOf();
  begin(editor, { x: 10, y: 8, shift: false, alt: false });
  assert.equal(editor.view.unit, "seconds");
  press(editor, "u");
  assert.equal(editor.view.unit, "blocks");
  press(editor, "u");
  assert.equal(editor.view.unit, "frames");
});

test("arrows go and select by frame, block and second", () => {
  const editor = editorOf();
  press(editor, "ArrowRight", "ctrl");
  assert.equal(editor.cursor.t, 25);
  press(editor, "ArrowRight", "shift");
  assert.equal(editor.cursor.t, 32);
  press(editor, "ArrowRight", "ctrl", "shift");
  assert.deepEqual(selected(editor), [32, 44]);
  press(editor, "ArrowRight", "ctrl", "shift");
  assert.deepEqual(selected(editor), [32, 56]);
  editor.moveTo(50);
  press(editor, "ArrowRight", "ctrl", "alt");
  assert.deepEqual(selected(editor), [50, 76]);
  editor.moveTo(50);
  press(editor, "ArrowLeft", "shift", "alt");
  assert.deepEqual(selected(editor), [49, 51]);
  assert.ok(editor.goTo("b3 - b4"));
  assert.deepEqual(selected(editor), [32, 56]);
  assert.ok(!editor.goTo("somewhere"));
});

test("undo as a list: what each step changed and where, and any of them is gone to", () => {
  const editor = editorOf();
  editor.apply((now) => edit.paintKey(now, "w", 25, 50, true));
  editor.apply((now) => edit.holdAxis(now, "yaw", 50, 75, 0.1));
  editor.fork();
  editor.goOn(2);
  editor.moveTo(3);
  editor.mark("here");
  const texts = () => editor.changes.map(({ text }) => text);
  assert.deepEqual(texts(), [
    "markers",
    "length 13 blocks",
    "forked branch 1",
    "yaw · frame 50 · 2.00 s",
    "W · frame 25 · 1.00 s",
    "as it was opened",
  ]);
  editor.travel(() => editor.changes.at(-2).at);
  assert.deepEqual(editor.doc.tracks.w, [[25, 25]]);
  assert.equal(editor.doc.branches.length, 0);
  assert.equal(texts().length, 6, "what was undone is still there");
  editor.travel(() => 5);
  assert.equal(editor.doc.markers.length, 1);
  editor.travel(() => 99);
  assert.equal(editor.history.at, 5);
});
