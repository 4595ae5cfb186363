// The editor's state without a page: values in, commands, values out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Editor } from "../../web/timeline/editor.mjs";
import { translator } from "../../web/timeline/i18n.mjs";

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
  const editor = editorOf("universal", "repeat 60 { w 12; w+left 11; yaw(0 -> 0.1 smooth) 1 }\n@length 1437".split("\n").reverse().join("\n"));
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
