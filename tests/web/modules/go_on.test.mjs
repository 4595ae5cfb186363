/** Going on: the end dragged, blocks added, what that will cost, and how far a run is. */
import assert from "node:assert/strict";
import test from "node:test";
import { costOf, costText, paceText, timeText } from "../../../web/timeline/editing/cost.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { handleKey } from "../../../web/timeline/input/keys.mjs";
import { begin, shapeAt } from "../../../web/timeline/input/press.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";

const words = translator("en");

function editorOf(script = "w 45f") {
  const editor = new Editor("universal", words);
  editor.load(script);
  editor.view.layout(editor.doc, 600, 320);
  return editor;
}
const stored = (editor, states, seconds = null) => ({
  doc: editor.doc,
  project: "p",
  blocks: states.map((state, k) => ({ state, key: `k${k}` })),
  seconds,
});

test("what a run will make, and how long that takes where it was measured", () => {
  const editor = editorOf();
  assert.equal(costOf(null, editor.blocks), null);
  editor.storedBlocks = stored(editor, ["cached", "resumable", "stale", "empty"], 2.9);
  assert.match(editor.status, /will make 2 of 4 blocks, about 6 s/);
  editor.storedBlocks = stored(editor, ["cached", "resumable", "stale", "empty"]);
  assert.match(editor.status, /will make 2 of 4 blocks  /);
  editor.storedBlocks = stored(editor, ["cached", "cached", "pinned", "cached"], 2.9);
  assert.match(editor.status, /nothing to make: all 4 blocks are stored/);
  editor.goOn(3);
  assert.match(editor.status, /will make 3 of 7 blocks, about 9 s/);
  assert.equal(costText({ make: 120, of: 120, seconds: 3725 }, words), "will make 120 of 120 blocks, about 1 h 2 min");
});

test("how far a run is", () => {
  assert.equal(paceText({ at: 1, of: 11, seconds: null, rate: null }, words), "block 1 of 11");
  const pace = { at: 4, of: 11, seconds: 9.2, rate: 14.04 };
  assert.equal(paceText(pace, words), "block 4 of 11, 9 s left, 14 frames/s");
  assert.equal(paceText(pace, translator("zh")), "第 4 块，共 11 块，还需 9 秒，14 帧/秒");
  assert.deepEqual(
    [0.2, 59.4, 134, 3900].map((seconds) => timeText(seconds, words)),
    ["1 s", "59 s", "2 min 10 s", "1 h 5 min"],
  );
});

test("the end is dragged by whole blocks, and what was cut off comes back while it is dragged", () => {
  const editor = editorOf();
  const { view } = editor;
  const at = { x: view.x(editor.doc.length), y: 5, shift: false, alt: false };
  assert.equal(shapeAt(editor, at.x, at.y), "col-resize");
  const before = editor.doc;
  const drag = begin(editor, at);
  const scale = view.perFrame;
  drag.move({ ...at, x: view.x(20) });
  assert.equal(editor.doc.length, 21);
  drag.move({ ...at, x: view.x(46) });
  assert.deepEqual(editor.doc.tracks.w, before.tracks.w);
  drag.move({ ...at, x: view.x(81) });
  assert.equal(editor.doc.length, 81);
  assert.equal(view.perFrame, scale, "its scale stays");
  drag.end(at);
  assert.ok(view.perFrame < scale && view.all, "all of it is shown again");
  editor.undo();
  assert.equal(editor.doc, before);
});

test("A asks how many blocks more", () => {
  const editor = editorOf();
  let asked = 0;
  const event = { key: "a", code: "KeyA", preventDefault() {}, stopPropagation() {} };
  assert.ok(handleKey(editor, event, { more: () => asked++ }));
  assert.equal(asked, 1);
  editor.goOn(5);
  assert.equal(editor.doc.length, 105);
  assert.equal(editor.cursor.t, 45);
  editor.goOn(1e6);
  assert.ok(editor.doc.length < 1e6);
});
