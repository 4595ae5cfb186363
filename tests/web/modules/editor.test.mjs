// The editor's state without a page: values in, commands, values out.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as edit from "../../../web/model/edit.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { handleKey } from "../../../web/timeline/input/keys.mjs";
import { canonicalDocument, readDocument, rowsOf } from "../../../web/model/document.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";

const words = translator("en");
const editorOf = (variant, text = "") => {
  const editor = new Editor(variant, words);
  editor.nodeVariant = () => variant;
  if (text) editor.load(text);
  return editor;
};

test("a script as value becomes lanes, for the variant of the node", () => {
  const editor = editorOf("templerun", "jump 12\nrun 12");
  assert.equal(editor.doc.variant, "templerun");
  assert.deepEqual(editor.doc.tracks.jump, [[0, 12]]);
  assert.equal(editor.script, "jump 12\nrun 12");
  assert.equal(JSON.parse(editor.text).source.text, "jump 12\nrun 12");
});

test("a script that names another variant is shown as that, and offered for conversion", () => {
  const editor = editorOf("gta_drive", "@variant universal\na 12");
  assert.equal(editor.doc.variant, "universal");
  assert.equal(editor.want("gta_drive"), false);
  assert.equal(editor.wanted, "gta_drive");
});

test("a script with a fault is kept, and is a fault of the script, not of the value", () => {
  const editor = editorOf("universal", "w 12\noops 3");
  assert.equal(editor.problem, null);
  assert.equal(editor.scriptError.line, 2);
  assert.equal(editor.script, "w 12\noops 3");
});

test("what nobody made gives way to another variant, what somebody made does not", () => {
  const editor = editorOf("universal", "a 12");
  editor.untouched = editor.doc;
  assert.equal(editor.want("gta_drive"), true);
  assert.deepEqual(editor.doc.tracks.w, []);
  const mine = editorOf("universal", "a 12");
  assert.equal(mine.want("gta_drive"), false);
});

test("a lane edit writes the script anew, and undo brings the text back", () => {
  const editor = editorOf("universal", "w 12   # with a comment");
  editor.moveTo(20, "d");
  editor.toggle();
  assert.equal(editor.doc.source, undefined);
  assert.match(editor.script, /^@variant universal\n/);
  editor.undo();
  assert.equal(editor.script, "w 12   # with a comment");
});

test("an edit of what cannot be read changes nothing", () => {
  const editor = editorOf("universal", '{"format": "other"}');
  editor.toggle();
  editor.insert();
  editor.paste("w 12");
  editor.undo();
  assert.equal(editor.text, '{"format": "other"}');
  assert.equal(editor.problem.kind, "schema");
});

test("1,437 frames take an edit, its warnings and its blocks in a millisecond or so", () => {
  const editor = editorOf(
    "universal",
    "repeat 60 { w 12; w+left 11; yaw(0 -> 0.1 smooth) 1 }\n@length 1437".split("\n").reverse().join("\n"),
  );
  assert.equal(editor.doc.length, 1437);
  editor.rendered = editor.doc;
  const begun = performance.now();
  for (let i = 0; i < 100; i++) {
    editor.moveTo(7 * i, i % 2 ? "d" : "yaw");
    editor.toggle();
    assert.ok(editor.warnings.length >= 0 && editor.blocks.length === 120 && editor.text.length > 100);
  }
  assert.ok(performance.now() - begun < 1000, `100 edits took ${performance.now() - begun} ms`);
});

const branched = (variant, tracks, branch) => ({
  format: "matrixgame.timeline",
  version: 1,
  variant,
  fps: 25,
  length: 105,
  tracks,
  markers: [],
  loop: null,
  branches: [
    { id: "b1", name: "left turn", fork: 68, tracks: branch, thumb: "h:9f2c" },
    { id: "b2", name: "second", fork: 8, tracks: {} },
  ],
  active: null,
  meta: { author: "someone" },
});

test("edits of the lanes and of the script leave the inputs of branches as they are", () => {
  const source = branched("universal", { w: [[0, 98]], yaw: [[24, 0.1]] }, { d: [[70, 10]], yaw: [] });
  const editor = editorOf("universal", JSON.stringify(source));
  const rows = (id) =>
    JSON.stringify([
      rowsOf({ ...editor.doc, active: id }).keyboard.slice(0, 105),
      rowsOf({ ...editor.doc, active: id }).mouse.slice(0, 105),
    ]);
  const before = [rows("b1"), rows("b2")];
  editor.moveTo(30, "d");
  editor.toggle();
  editor.select(10, 40, ["w"]);
  editor.clear();
  editor.setScript("w 105f");
  editor.commit();
  editor.setBlocks(20);
  editor.mark("here");
  const made = JSON.parse(editor.text);
  assert.deepEqual([rows("b1"), rows("b2")], before);
  assert.deepEqual(
    made.branches.map(({ tracks: _, ...rest }) => rest),
    source.branches.map(({ tracks: _, ...rest }) => rest),
  );
  assert.deepEqual(made.meta, source.meta);
  assert.deepEqual(made.tracks.w, [[0, 105]]);
  editor.setScript("w 33f");
  editor.commit();
  const shorter = JSON.parse(editor.text).branches;
  assert.deepEqual(
    shorter.map(({ id, name, fork, thumb }) => [id, name, fork, thumb]),
    [
      ["b1", "left turn", 33, "h:9f2c"],
      ["b2", "second", 8, undefined],
    ],
  );
  canonicalDocument(JSON.parse(editor.text));
});

test("with a branch in use, its lanes are edited and the others stay", () => {
  const source = { ...branched("universal", { w: [[0, 98]] }, { d: [[70, 10]] }), active: "b1" };
  const editor = editorOf("universal", JSON.stringify(source));
  editor.moveTo(0, "a");
  editor.toggle();
  editor.setScript("s 105f");
  editor.commit();
  const made = JSON.parse(editor.text);
  assert.deepEqual(made.tracks.w, [[0, 98]]);
  assert.deepEqual(
    [made.active, made.branches[0].tracks.s, made.branches[0].tracks.w, made.branches[0].tracks.d],
    ["b1", [[0, 105]], [], []],
  );
  assert.deepEqual(made.branches[1], source.branches[1]);
});

test("one action at a time stays so in branches, whatever happens to the main lanes", () => {
  const editor = editorOf(
    "templerun",
    JSON.stringify(branched("templerun", { jump: [[40, 12]] }, { slide: [[0, 12]] })),
  );
  const rows = (id) => rowsOf({ ...editor.doc, active: id }).keyboard;
  const before = [rows("b1"), rows("b2")];
  editor.select(0, 30, ["jump"]);
  editor.toggle();
  editor.select(0, 105, ["turn_left"]);
  editor.toggle();
  canonicalDocument(JSON.parse(editor.text));
  assert.deepEqual([rows("b1"), rows("b2")], before);
});

test("undo of a conversion shows that the node is set to another variant, and so does a text that is mended", () => {
  let variant = "universal";
  const editor = editorOf(variant);
  editor.nodeVariant = () => variant;
  editor.moveTo(0, "w");
  editor.toggle();
  variant = "gta_drive";
  assert.equal(editor.want(variant), true);
  editor.undo();
  assert.deepEqual([editor.doc.variant, editor.wanted], ["universal", "gta_drive"]);
  editor.redo();
  assert.deepEqual([editor.doc.variant, editor.wanted], ["gta_drive", null]);
  editor.load("{");
  assert.equal(editor.wanted, null);
  editor.load(JSON.stringify({ ...JSON.parse(editorOf("universal").text) }));
  assert.equal(editor.wanted, "gta_drive");
});

test("no edit makes a timeline longer than can be read", () => {
  const editor = editorOf("universal");
  editor.setBlocks(1e6);
  assert.equal(editor.doc.length, 90009);
  const said = [];
  editor.listeners.push((what, text) => what === "say" && said.push(text));
  editor.insert();
  assert.equal(editor.doc.length, 90009);
  assert.deepEqual(said, ["The timeline is as long as it can be"]);
  const other = editorOf("universal");
  other.setBlocks(4000);
  other.select(0, other.doc.length);
  other.repeat();
  assert.equal(other.doc.length, 90009);
  assert.doesNotThrow(() => readDocument(other.text));
});

test("names are counted in characters, as Python counts them, and hold no signs that cannot be seen", () => {
  const editor = editorOf("universal", `:"${"😀".repeat(150)}" at 3\nw 5b`);
  assert.doesNotThrow(() => readDocument(editor.text));
  editor.mark(`${"x".repeat(199)}😀😀\t`);
  assert.equal(editor.doc.markers.find((m) => m.t === 0).name, `${"x".repeat(199)}😀`);
  editor.mark("a\u0007\tb");
  assert.equal(editor.doc.markers.find((m) => m.t === 0).name, "a b");
  const broken = JSON.stringify({ ...JSON.parse(editor.text), markers: [{ t: 0, name: "a\tb" }] });
  assert.throws(() => readDocument(broken), /markers\[0\]\.name/);
});

test("a pin is what the script says", () => {
  const editor = editorOf("universal", ":here at 20 pin\nw 5b");
  editor.moveTo(20);
  editor.pin();
  assert.deepEqual(editor.doc.markers, [{ t: 20, name: "here" }]);
  editor.setScript(editor.script.replace("5b", "6b"));
  assert.deepEqual(editor.doc.markers, [{ t: 20, name: "here" }]);
  editor.pin();
  editor.setScript(editor.script.replace(" pin", ""));
  assert.deepEqual(editor.doc.markers, [{ t: 20, name: "here" }]);
});

const pressed = (key, code, more = {}) => ({
  key,
  code,
  repeat: false,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  shiftKey: false,
  preventDefault() {},
  stopPropagation() {},
  ...more,
});

test("Alt+Up raises the whole ramp that the cursor is in, and each part of a selection", () => {
  const editor = new Editor("universal", (key) => key);
  editor.apply((doc) => edit.rampAxis(doc, "yaw", 50, 74, 0, 0.1, "linear"));
  editor.moveTo(60, "yaw");
  handleKey(editor, pressed("ArrowUp", "ArrowUp", { altKey: true }), {});
  assert.deepEqual(editor.doc.tracks.yaw, [
    [50, 0.01, "linear", 24, 0.11],
    [74, 0],
  ]);
  editor.select(40, 50, ["yaw"]);
  handleKey(editor, pressed("ArrowDown", "ArrowDown", { altKey: true }), {});
  assert.deepEqual(editor.doc.tracks.yaw, [
    [40, -0.01],
    [50, 0.01, "linear", 24, 0.11],
    [74, 0],
  ]);
});

test("a French keyboard: minus zooms out, digits with and without Shift are lanes", () => {
  const editor = new Editor("universal", (key) => key);
  editor.view.layout(editor.doc, 600, 300);
  const before = editor.view.perFrame;
  assert.ok(handleKey(editor, pressed("-", "Digit6"), {}));
  assert.deepEqual(editor.doc.tracks.pitch, []);
  assert.ok(editor.view.perFrame <= before);
  handleKey(editor, pressed("&", "Digit1"), {});
  assert.deepEqual(editor.doc.tracks.w, [[0, 1]]);
  handleKey(editor, pressed("2", "Digit2", { shiftKey: true }), {});
  assert.deepEqual(editor.doc.tracks.s, [[0, 1]]);
});

test("undo and redo put the cursor where the change is", () => {
  const editor = new Editor("universal", (key) => key);
  editor.moveTo(0, "w");
  editor.toggle();
  editor.moveTo(60, "yaw");
  editor.toggle();
  editor.moveTo(100, "s");
  editor.undo();
  assert.deepEqual(editor.cursor, { t: 60, lane: "yaw" });
  editor.undo();
  assert.deepEqual(editor.cursor, { t: 0, lane: "w" });
  editor.redo();
  editor.redo();
  assert.deepEqual(editor.cursor, { t: 60, lane: "yaw" });
});
