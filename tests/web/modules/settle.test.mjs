// What is under way (a gesture, a take) when another edit comes: it ends first, and neither undoes the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { withTake } from "../../../web/player/branch.mjs";
import { land } from "../../../web/player/landing.mjs";
import { activeTracks, emptyDocument, rowsOf } from "../../../web/model/document.mjs";
import * as edit from "../../../web/model/edit.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { Pointers } from "../../../web/timeline/input/pointer.mjs";
import { Transport } from "../../../web/timeline/input/transport.mjs";

const words = translator("en");
let now = 0;
let frame = null;
globalThis.document = { addEventListener() {}, removeEventListener() {}, hidden: false };
globalThis.requestAnimationFrame = (run) => ((frame = run), 1);
globalThis.cancelAnimationFrame = () => (frame = null);
globalThis.window = { clearTimeout() {}, setTimeout() {} };
Object.defineProperty(globalThis, "performance", { value: { now: () => now }, configurable: true });

const editorOf = (variant = "universal") => {
  const editor = new Editor(variant, words);
  editor.view.layout(editor.doc, 800, 400);
  return editor;
};
const held = (editor) => Object.fromEntries(Object.entries(activeTracks(editor.doc)).filter(([, lane]) => lane.length));
const hold = (editor, lane, a, b) => editor.apply((doc) => edit.paintKey(doc, lane, a, b, true));
const pass = (ms) => {
  now += ms;
  const run = frame;
  frame = null;
  run?.();
};
const record = (editor) => {
  const transport = new Transport(editor, () => {});
  editor.armed.add("w");
  transport.start(true);
  transport.take.down("KeyW");
  pass(400);
  return transport;
};
const takeOf = (variant, rows, tracks) => ({
  ...emptyDocument(variant, rows),
  tracks: { ...emptyDocument(variant, rows).tracks, ...tracks },
});

/** A canvas, and what a pointer does on it. */
function pointerOn(editor) {
  const listeners = {};
  const canvas = {
    addEventListener: (kind, run) => (listeners[kind] = run),
    setPointerCapture() {},
    style: {},
    clientWidth: 800,
    clientHeight: 400,
    getBoundingClientRect: () => ({ left: 0, top: 0, width: 800, height: 400 }),
  };
  const pointers = new Pointers(canvas, editor, { focus() {}, recording: () => false, pointed() {} });
  assert.equal(pointers.drag, null);
  return (kind, t, lane) => {
    const row = editor.view.rows.find((each) => each.id === lane);
    const event = {
      clientX: editor.view.x(t + 0.5),
      clientY: row.top + 10,
      button: 0,
      pointerId: 1,
      pointerType: "mouse",
      preventDefault() {},
      stopPropagation() {},
    };
    listeners[kind](event);
  };
}

test("undo while recording ends the take, and takes it back", () => {
  const editor = editorOf();
  hold(editor, "s", 0, 20);
  hold(editor, "a", 0, 20);
  const transport = record(editor);
  editor.undo();
  pass(100);
  assert.equal(transport.running, false);
  assert.deepEqual(held(editor), { s: [[0, 20]], a: [[0, 20]] });
  editor.undo();
  assert.deepEqual(held(editor), { s: [[0, 20]] });
});

test("an edit while recording comes after the take", () => {
  for (const change of [
    (e) => e.toggle("d"),
    (e) => e.mark("here"),
    (e) => e.setBlocks(20),
    (e) => e.fork(),
    (e) => e.load("s 12"),
  ]) {
    const editor = editorOf();
    record(editor);
    change(editor);
    const { doc } = editor;
    pass(100);
    assert.equal(editor.doc, doc);
    editor.undo();
    assert.deepEqual(held(editor), change.toString().includes("load") ? { s: [[0, 12]] } : { w: [[0, 10]] });
  }
});

test("an edit does not end what only plays", () => {
  const editor = editorOf();
  const transport = new Transport(editor, () => {});
  transport.start(false);
  hold(editor, "s", 0, 20);
  assert.equal(transport.running, true);
});

test("undo while the mouse holds a drag takes the drag back", () => {
  const editor = editorOf();
  const mouse = pointerOn(editor);
  hold(editor, "s", 0, 20);
  mouse("pointerdown", 10, "d");
  mouse("pointermove", 20, "d");
  editor.undo();
  mouse("pointermove", 30, "d");
  mouse("pointerup", 30, "d");
  assert.deepEqual(held(editor), { s: [[0, 20]] });
});

test("playback that ends leaves a drag under way", () => {
  const editor = editorOf();
  const mouse = pointerOn(editor);
  const transport = new Transport(editor, () => {});
  transport.start(false);
  mouse("pointerdown", 10, "d");
  mouse("pointermove", 20, "d");
  transport.stop();
  mouse("pointermove", 30, "d");
  mouse("pointerup", 30, "d");
  assert.deepEqual(held(editor), { d: [[10, 21]] });
  editor.undo();
  assert.deepEqual(held(editor), {});
});

test("a take of live play that lands during a drag stays", () => {
  const editor = editorOf();
  const mouse = pointerOn(editor);
  mouse("pointerdown", 10, "d");
  mouse("pointermove", 20, "d");
  editor.apply((doc) => withTake(doc, takeOf("universal", 45, { w: [[0, 45]] })));
  mouse("pointermove", 30, "d");
  mouse("pointerup", 30, "d");
  assert.equal(editor.doc.active, "take-1");
  assert.deepEqual(editor.doc.tracks.d, [[10, 11]]);
});

test("after a take the camera is still", () => {
  const doc = withTake(emptyDocument("universal"), takeOf("universal", 45, { w: [[0, 45]], yaw: [[30, 0.1]] }));
  const { keyboard, mouse } = rowsOf(doc);
  assert.deepEqual([keyboard.filter((row) => row[0]).length, mouse.filter((row) => row[1]).length], [45, 15]);
});

test("a timeline made for a take is the take, whatever the variant", () => {
  for (const [variant, key] of [
    ["universal", "w"],
    ["gta_drive", "w"],
    ["templerun", "jump"],
  ]) {
    const take = takeOf(variant, 45, { [key]: [[0, 45]] });
    const make = () => {
      const editor = editorOf();
      editor.untouched = editor.doc;
      const timeline = { editor, setVariant: (name) => editor.want(name) };
      return { id: 9, pos: [0, 0], widgets: [{ name: "variant" }, { timeline }] };
    };
    const node = { id: 1, pos: [0, 0], size: [1, 1], properties: {}, inputs: [], graph: { _nodes: [] } };
    const { doc } = land(node, take, make).owner.widgets[1].timeline.editor;
    assert.deepEqual([doc.length, doc.tracks[key], doc.markers], [45, [[0, 45]], []]);
  }
});
