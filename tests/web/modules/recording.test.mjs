/** How a recording begins: at once, with the first key, after a count; and a take that is quantised to blocks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { activeTracks } from "../../../web/model/document.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { quantised } from "../../../web/timeline/input/quantise.mjs";
import { Transport } from "../../../web/timeline/input/transport.mjs";
import { RecordMenu } from "../../../web/timeline/menus/record_menu.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";

let now = 0;
let frame = null;
globalThis.document = { addEventListener() {}, removeEventListener() {}, hidden: false };
globalThis.requestAnimationFrame = (run) => ((frame = run), 1);
globalThis.cancelAnimationFrame = () => (frame = null);
Object.defineProperty(globalThis, "performance", { value: { now: () => now }, configurable: true });
const pass = (ms) => {
  now += ms;
  const run = frame;
  frame = null;
  run?.();
};

function recording(start, quantise = false) {
  const editor = new Editor("universal", translator("en"));
  editor.load("idle 129f");
  editor.recording = { start, quantise };
  editor.armed = new Set(["w", "yaw"]);
  const transport = new Transport(editor, () => {});
  transport.start(true);
  return { editor, transport, w: () => activeTracks(editor.doc).w };
}

test("with the first key: nothing runs before it, and it is in the first row", () => {
  const { editor, transport, w } = recording("key");
  pass(2000);
  assert.equal(transport.rows, 0);
  assert.equal(transport.prelude.key, "record.waits");
  assert.equal(editor.playhead, 0);
  transport.take.down("KeyW");
  pass(0);
  assert.equal(transport.prelude, null);
  pass(400);
  transport.stop();
  assert.deepEqual(w(), [[0, 10]]);
});

test("after a count of three, of which nothing is kept but what is held at its end", () => {
  const { transport, w } = recording("count");
  pass(10);
  assert.deepEqual(transport.prelude, { key: "record.counts", n: 3 });
  transport.take.down("KeyW");
  transport.take.up("KeyW");
  transport.take.move(50, 0);
  pass(1300);
  assert.equal(transport.prelude.n, 1);
  assert.equal(transport.rows, 0);
  pass(500);
  pass(200);
  transport.take.down("KeyW");
  pass(200);
  transport.stop();
  assert.equal(transport.prelude, null);
  const [[start, length]] = w();
  assert.ok(start >= 4 && start + length === 10, `${start} ${length}`);
});

test("a take that is ended while it waits changes nothing", () => {
  const { editor, transport } = recording("key", true);
  const before = editor.doc;
  pass(500);
  transport.stop();
  assert.equal(editor.doc, before);
  assert.equal(editor.history.canUndo, false);
});

test("quantised, keys change only where blocks begin to read, and the camera is the mean of each", () => {
  const tracks = {
    w: [[3, 9]],
    a: [[18, 2]],
    yaw: [
      [0, 0],
      [8, 0.2],
      [14, 0],
    ],
    pitch: [[0, 0.1]],
  };
  const got = quantised(tracks, 0, 30, false);
  assert.deepEqual(got.w, [[0, 20]]); // 5 of 8 rows, and 4 of 12
  assert.deepEqual(got.a, []); // 2 of 12
  assert.deepEqual(got.yaw, [
    [8, 0.1],
    [20, 0],
  ]);
  assert.deepEqual(got.pitch, [[0, 0.1]]);
  assert.deepEqual(quantised({ w: [[0, 30]] }, 10, 30, false).w, [[0, 30]], "from the middle of a block");
  const one = quantised({ jump: [[0, 5]], slide: [[5, 3]] }, 0, 20, true);
  assert.deepEqual([one.jump, one.slide], [[[0, 8]], []], "one key at a time: the one held longest");
});

test("a quantised take is one step of undo, and the way of recording is kept", () => {
  const { editor, transport, w } = recording("now", true);
  transport.take.down("KeyW");
  pass(200);
  transport.take.up("KeyW");
  pass(600);
  transport.stop();
  assert.deepEqual(w(), [[0, 8]]);
  editor.undo();
  assert.deepEqual(w(), []);
  const kept = [];
  const menu = new RecordMenu(editor, null, editor.words, {
    read: () => ({ start: "key" }),
    write: (v) => kept.push(v),
  });
  assert.deepEqual(editor.recording, { start: "key", quantise: false });
  menu.set({ quantise: true });
  assert.deepEqual(kept, [{ start: "key", quantise: true }]);
});
