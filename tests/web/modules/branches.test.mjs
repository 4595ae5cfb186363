// Branches: each is a set of inputs that no edit elsewhere changes; fork, flip, rename, delete, and all of it undone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { divergence, fork, flipTo } from "../../../web/timeline/editing/branches.mjs";
import { canonicalDocument, emptyDocument, rowsOf } from "../../../web/model/document.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { convertVariant } from "../../../web/model/convert.mjs";
import { rippleDelete } from "../../../web/model/edit.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { statesFor } from "../../../web/timeline/view/strip.mjs";
import { VARIANTS, blockOfInput } from "../../../web/model/variants.mjs";

const rows = (doc, id = doc.active) => JSON.stringify(rowsOf({ ...doc, active: id }));

/** An editor with W held, and what it says. */
function editorOf(script = "w 105f", variant = "universal") {
  const editor = new Editor(variant, translator("en"));
  editor.load(script);
  editor.said = [];
  editor.listeners.push((what, text) => what === "say" && editor.said.push(text));
  return editor;
}

/** @param {Editor} editor */
function toggle(editor, t, lane) {
  editor.moveTo(t, lane);
  editor.toggle();
}

test("a fork is edited by itself, and a flip shows the other, untouched", () => {
  const editor = editorOf();
  const main = rows(editor.doc);
  editor.moveTo(68);
  editor.fork();
  assert.deepEqual(
    editor.doc.branches.map(({ id, name, fork: at, tracks }) => [id, name, at, tracks]),
    [["branch-1", "branch 1", 68, {}]],
  );
  assert.equal(editor.divergence, null);
  assert.match(editor.status, /branch 1 = main, input for input/);
  toggle(editor, 70, "d");
  const branch = rows(editor.doc);
  assert.notEqual(branch, main);
  assert.deepEqual(editor.divergence, { row: 70, block: blockOfInput(70) });
  assert.match(editor.status, /branch 1 ≠ main from block 6 on \(frame 70\)/);
  editor.flip();
  assert.deepEqual([editor.doc.active, rows(editor.doc)], [null, main]);
  assert.equal(editor.said.at(-1), "main, ≠ branch 1 from block 6 on (frame 70)");
  toggle(editor, 30, "s");
  editor.flip();
  assert.deepEqual([editor.doc.active, rows(editor.doc)], ["branch-1", branch]);
  assert.equal(rows(canonicalDocument(JSON.parse(editor.text))), branch);
});

test("fork, flip, rename and delete are undone and done again", () => {
  const editor = editorOf();
  const texts = [editor.text];
  const step = (act) => {
    act();
    texts.push(editor.text);
  };
  step(() => editor.fork());
  step(() => toggle(editor, 40, "a"));
  step(() => editor.flip());
  step(() => toggle(editor, 10, "s"));
  step(() => editor.flip());
  step(() => editor.renameBranch("  left \n turn "));
  step(() => editor.removeBranch());
  assert.equal(new Set(texts).size, texts.length);
  assert.equal(JSON.parse(texts[6]).branches[0].name, "left turn");
  assert.deepEqual(JSON.parse(texts[7]).branches, []);
  assert.equal(JSON.parse(texts[7]).active, null);
  for (let i = texts.length - 2; i >= 0; i--) {
    editor.undo();
    assert.equal(editor.text, texts[i]);
  }
  for (let i = 1; i < texts.length; i++) {
    editor.redo();
    assert.equal(editor.text, texts[i]);
  }
});

test("to look at another branch and back is no step of undo, and the same document", () => {
  const editor = editorOf();
  editor.fork();
  toggle(editor, 40, "a");
  const { doc } = editor;
  const steps = editor.history.states.length;
  for (let i = 0; i < 3; i++) {
    editor.flip();
    assert.equal(editor.history.states.length, steps + 1);
    editor.flip();
    assert.equal(editor.doc, doc);
    assert.equal(editor.history.states.length, steps);
  }
  editor.fork();
  editor.flip(null);
  editor.flip("branch-1");
  assert.equal(editor.history.states.length, steps + 2);
  editor.undo();
  assert.equal(editor.doc.active, "branch-2");
  assert.equal(editor.other, "branch-1");
});

test("A/B goes between the two that were used last", () => {
  const editor = editorOf();
  for (const _ of "abc") editor.fork();
  editor.flip("branch-1");
  editor.flip();
  assert.equal(editor.doc.active, "branch-3");
  editor.flip();
  assert.equal(editor.doc.active, "branch-1");
  editor.removeBranch();
  assert.deepEqual([editor.doc.active, editor.other], ["branch-3", null]);
  editor.load(editor.text);
  assert.equal(editor.other, null);
});

test("random edits of one branch change no other, in any variant", () => {
  for (const variant of Object.keys(VARIANTS)) {
    const editor = editorOf("", variant);
    let seed = 5;
    const next = (below) => (seed = (seed * 48271) % 2147483647) % below;
    for (let i = 0; i < 300; i++) {
      const { doc } = editor;
      const ids = [null, ...doc.branches.map((b) => b.id)];
      const before = new Map(ids.map((id) => [id, rows(doc, id)]));
      const lane = editor.lanes[next(editor.lanes.length)].id;
      const [a, n] = [next(doc.length - 1), 1 + next(30)];
      const kind = next(9);
      if (kind === 0 && ids.length < 5) editor.fork();
      else if (kind === 1) editor.flip(ids[next(ids.length)]);
      else if (kind === 2) editor.undo();
      else if (kind === 3) editor.remove();
      else if (kind === 4) editor.setScript(editor.script.replace(/\d+f/, `${1 + next(9)}f`));
      else {
        editor.select(a, a + n, [lane]);
        if (kind === 5) editor.clear();
        else editor.toggle();
      }
      editor.commit();
      canonicalDocument(JSON.parse(editor.text));
      if (kind === 2 || editor.doc.length !== doc.length) continue;
      for (const id of ids)
        if (id !== editor.doc.active)
          assert.equal(rows(editor.doc, id), before.get(id), `${variant} ${i} ${kind} ${id}`);
    }
  }
});

test("a flip needs nothing made: the states of the shared blocks stay, and those of a known branch come back", () => {
  const editor = editorOf();
  editor.fork();
  toggle(editor, 44, "d");
  const cached = {
    doc: editor.doc,
    project: "p",
    blocks: Array.from({ length: 9 }, (_, i) => ({ state: "cached", key: String(i) })),
  };
  const other = flipTo(editor.doc, null);
  assert.deepEqual(statesFor(cached, other), [...Array(4).fill("cached"), ...Array(5).fill("stale")]);
  assert.deepEqual(statesFor(cached, flipTo(other, editor.doc.active)), Array(9).fill("cached"));
  assert.deepEqual(divergence(other, "branch-1"), { row: 44, block: 4 });
});

test("each branch keeps its script, until its lanes say something else", () => {
  const editor = editorOf("w 105f # all the way");
  editor.fork();
  editor.setScript("w 60f # not so far\nd 45f");
  editor.commit();
  editor.flip();
  assert.equal(editor.script, "w 105f # all the way");
  editor.flip();
  assert.equal(editor.script, "w 60f # not so far\nd 45f");
  editor.flip();
  toggle(editor, 3, "s");
  editor.flip();
  assert.equal(editor.script, "w 60f # not so far\nd 45f");
  editor.flip();
  assert.doesNotMatch(editor.script, /#/);
  const stale = { ...editor.doc, scripts: { "branch-1": "s 105f" } };
  assert.equal(flipTo(stale, "branch-1").source, undefined);
  assert.equal(flipTo({ ...editor.doc, scripts: 5 }, "branch-1").source, undefined);
});

test("a script that is half written cuts nothing off another branch", () => {
  const editor = editorOf("w 105f");
  editor.fork();
  toggle(editor, 90, "d");
  const main = rows(editor.doc, null);
  for (const text of ["w", "w 1", "w 10", "w 10 x", "w 105"]) {
    editor.setScript(text);
    editor.commit();
  }
  assert.equal(rows(editor.doc, null), main);
});

test("deleting rows of one branch leaves the others their ends", () => {
  const editor = editorOf("w+left 105f");
  editor.fork();
  const main = rows(editor.doc, null);
  const after = rippleDelete(editor.doc, 20, 12);
  assert.deepEqual([after.length, rows(after, null)], [105, main]);
  assert.deepEqual(after.branches[0].tracks.w, [[0, 93]]);
  assert.deepEqual(rowsOf(after).mouse.at(-1), [0, 0]);
});

test("a conversion takes branches along whole, and says what each of them loses", () => {
  let doc = { ...emptyDocument("universal", 105), tracks: { ...emptyDocument("universal").tracks, a: [[0, 10]] } };
  doc = fork(doc, 0, (n) => `b${n}`);
  doc = {
    ...doc,
    branches: [
      {
        ...doc.branches[0],
        tracks: {
          d: [[5, 10]],
          w: [
            [0, 3],
            [9, 3],
          ],
        },
      },
    ],
    active: null,
  };
  const { doc: made, lost } = convertVariant(doc, "templerun");
  canonicalDocument(JSON.parse(JSON.stringify(made)));
  assert.deepEqual(lost, [{ lane: "w", count: 2 }]);
  assert.deepEqual(made.branches[0].tracks.side_right, [[5, 10]]);
});

test("a hundred branches are the most", () => {
  const editor = editorOf();
  for (let i = 0; i < 101; i++) editor.fork();
  assert.equal(editor.doc.branches.length, 100);
  assert.match(editor.said.at(-1), /^100 branches are the most/);
});

test("a marker is pinned and let go; its pin survives moves, edits of the script and the other way round", () => {
  const editor = editorOf();
  editor.moveTo(44);
  editor.pin();
  assert.deepEqual(editor.doc.markers, [{ t: 44, name: "pin", pin: true }]);
  editor.mark("door");
  assert.deepEqual(editor.doc.markers, [{ t: 44, name: "door", pin: true }]);
  editor.setScript(`${editor.script}\nd 12f`);
  editor.commit();
  assert.deepEqual(editor.doc.markers, [{ t: 44, name: "door", pin: true }]);
  editor.moveTo(44);
  editor.pin();
  assert.deepEqual(editor.doc.markers, [{ t: 44, name: "door" }]);
  assert.deepEqual(
    editor.said.filter((text) => /kept/.test(text)),
    ["The state at frame 44 will be kept", "The state at frame 44 will not be kept"],
  );
});
