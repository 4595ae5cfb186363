// Other seeds: taken again as a branch, changed by number, kept where lanes move, undone, and told apart everywhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { activeSeeds, canonicalDocument } from "../../../web/model/document.mjs";
import { rippleDelete, rippleInsert, setLength, takeScript } from "../../../web/model/edit.mjs";
import { blockStates, firstDifference } from "../../../web/model/compare.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { readSeed, reroll, rerollHere } from "../../../web/timeline/editing/seeds.mjs";
import { setSeed } from "../../../web/model/edit_signs.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { hitAreas } from "../../../web/timeline/view/areas.mjs";
import { parseScript } from "../../../web/script/script.mjs";
import { withTake } from "../../../web/player/branch.mjs";

function editorOf(script = "w 105f") {
  const editor = new Editor("universal", translator("en"));
  editor.load(script);
  editor.said = [];
  editor.listeners.push((what, text) => what === "say" && editor.said.push(text));
  return editor;
}

/** The editor's document as it comes back from a file. */
const stored = (editor) => canonicalDocument(JSON.parse(JSON.stringify(editor.doc)));

test("a take from a block on is a branch with its seed, and each one more is another", () => {
  const editor = editorOf();
  editor.moveTo(43); // the last row of block 3
  rerollHere(editor);
  const [branch] = editor.doc.branches;
  const [[row, seed]] = branch.seeds;
  assert.deepEqual([editor.doc.active, row, branch.fork, branch.tracks], [branch.id, 36, 36, {}]);
  assert.equal(branch.name, `block 3, seed ${seed}`);
  assert.match(editor.said.at(-1), new RegExp(`Blocks 3 and on again, with seed ${seed}, as a branch of main`));
  assert.deepEqual(editor.divergence, { row: 36, block: 3 });
  assert.equal(editor.doc.seeds, undefined);
  rerollHere(editor);
  assert.equal(editor.doc.branches.length, 2);
  assert.notEqual(editor.doc.branches[1].seeds[0][1], seed);
  assert.equal(editor.doc.branches[1].seeds.length, 1);
  assert.deepEqual(stored(editor).branches, editor.doc.branches);
  editor.undo();
  editor.undo();
  assert.deepEqual([editor.doc.branches, editor.doc.active], [[], null]);
  editor.redo();
  assert.equal(activeSeeds(editor.doc)[0][1], seed);
  assert.match(editor.changes[0].text, /forked block 3, seed/);
});

test("what was taken again before stays, and what comes later begins anew", () => {
  const { doc } = editorOf();
  const one = setSeed(setSeed(doc, 2, 5), 6, 9);
  const again = reroll(one, 4, 7, "x");
  assert.deepEqual(
    [again.seeds, activeSeeds(again)],
    [
      one.seeds,
      [
        [24, 5],
        [48, 7],
      ],
    ],
  );
  assert.equal(reroll(reroll(one, 4, 7, "x"), 4, 7, "x").branches[1].name, "x (2)");
  const all = Array.from({ length: 9 }, (_, block) => reroll(doc, block, 7, "x"));
  assert.deepEqual(
    all.map((each) => activeSeeds(each)[0][0]),
    [0, 12, 24, 36, 48, 60, 72, 84, 96],
  );
  const editor = editorOf();
  editor.moveTo(editor.doc.length - 1); // a row that no block reads
  rerollHere(editor);
  assert.equal(activeSeeds(editor.doc)[0][0], 96);
});

test("a seed is changed and taken away by number, in the branch that is shown alone", () => {
  const editor = editorOf("w 1b; seed 5; w 6b");
  assert.deepEqual(editor.doc.seeds, [[12, 5]]);
  editor.fork();
  editor.apply((doc) => setSeed(doc, 1, 8));
  assert.deepEqual([editor.doc.seeds, activeSeeds(editor.doc)], [[[12, 5]], [[12, 8]]]);
  assert.match(editor.changes[0].text, /seed from block 1 on/);
  editor.apply((doc) => setSeed(doc, 1, null));
  assert.deepEqual(activeSeeds(editor.doc), []);
  editor.flip(null);
  assert.deepEqual(activeSeeds(editor.doc), [[12, 5]]);
  editor.apply((doc) => setSeed(doc, 3, 1));
  assert.deepEqual(editor.doc.seeds, [
    [12, 5],
    [36, 1],
  ]);
  assert.deepEqual(editor.doc.branches[0].seeds, []);
  assert.match(editor.script, /seed 5 at 12\nseed 1 at 36\n/);
  assert.deepEqual(["7", " 7 ", "", "x", "-1", "1.5", "9007199254740992"].map(readSeed), [7, 7, null, ...Array(4)]);
});

test("branches keep the seeds they had when the main ones change", () => {
  const editor = editorOf("w 1b; seed 5; w 6b");
  editor.fork();
  editor.flip(null);
  editor.apply((doc) => setSeed(doc, 1, 6));
  assert.deepEqual(editor.doc.branches[0].seeds, [[12, 5]]);
});

test("seeds move with the lanes, and go with what is cut off", () => {
  const doc = setSeed(setSeed(setSeed(editorOf().doc, 1, 1), 4, 4), 8, 8);
  assert.deepEqual(activeSeeds(rippleInsert(doc, 24, 12)), [
    [12, 1],
    [60, 4],
    [108, 8],
  ]);
  assert.deepEqual(activeSeeds(rippleDelete(doc, 40, 12)), [
    [12, 1],
    [84, 8],
  ]);
  const cut = setLength(reroll(doc, 8, 9, "x"), 60);
  assert.deepEqual(
    [cut.seeds, activeSeeds(cut)],
    [
      [
        [12, 1],
        [48, 4],
      ],
      [
        [12, 1],
        [48, 4],
      ],
    ],
  );
  canonicalDocument(cut);
  for (const same of [rippleInsert, rippleDelete]) {
    const plain = reroll(editorOf().doc, 8, 9, "x");
    assert.equal(same({ ...plain, active: null }, 24, 12).branches[0].seeds.length, 1);
  }
});

test("a script says the seeds of the branch it is for", () => {
  const { doc } = editorOf();
  const made = parseScript("w 1b; seed 5; w 6b", "universal").document;
  assert.deepEqual(takeScript(doc, made).seeds, [[12, 5]]);
  assert.equal("seeds" in takeScript(takeScript(doc, made), parseScript("w 7b", "universal").document), false);
  const editor = editorOf("w 1b; seed 5; w 6b");
  editor.fork();
  editor.apply((now) => setSeed(now, 1, 8));
  editor.flip(null);
  assert.equal(editor.doc.source?.text, "w 1b; seed 5; w 6b");
});

test("blocks from another seed on are stale, and marked in the ruler", () => {
  const editor = editorOf();
  const next = setSeed(editor.doc, 4, 7);
  assert.equal(firstDifference(editor.doc, next), 48);
  assert.deepEqual(blockStates(next, editor.doc).indexOf("stale"), 4);
  editor.apply(() => setSeed(next, 5, 123));
  editor.view.layout(editor.doc, 800, 320);
  const tags = hitAreas(editor).filter((area) => area.kind === "seed");
  assert.deepEqual(
    tags.map((area) => area.t),
    [44, 56],
  );
  assert.ok(tags[0].rect.x + tags[0].rect.width <= tags[1].rect.x, "none covers the next");
});

test("a take that was played has no other seed than its world's", () => {
  const doc = setSeed(editorOf().doc, 4, 7);
  const take = withTake(doc, editorOf("d 57f").doc);
  assert.deepEqual([take.seeds, activeSeeds(take)], [[[48, 7]], []]);
});

test("a script that is pasted brings its seeds, and what follows keeps its own", () => {
  const script = "w 1b; seed 5; d 2b; seed 6; s 1b";
  const editor = editorOf();
  editor.moveTo(24);
  assert.equal(editor.paste(script), null);
  assert.deepEqual(activeSeeds(editor.doc), [
    [36, 5],
    [60, 6],
  ]); // 6 goes on, as in a script
  assert.match(editor.said.at(-1), /Pasted 48 frames at 24, with their seeds/);
  editor.undo();
  assert.deepEqual(activeSeeds(editor.doc), []);
  editor.redo();

  // over seeds that were there: those of the blocks go, and the block behind goes on with the one that it had
  editor.apply(() => setSeed(setSeed(setSeed(editor.doc, 0, 1), 4, 2), 5, null));
  editor.selection = null;
  editor.moveTo(36);
  editor.paste("seed 9; w 1b; seed 8; w 1b");
  assert.deepEqual(activeSeeds(editor.doc), [
    [0, 1],
    [36, 9],
    [48, 8],
    [60, 2],
  ]);
  assert.deepEqual(stored(editor).seeds, editor.doc.seeds);

  // as often as it fits into a selection; a script without seeds, or one for some lanes, leaves them
  const often = editorOf();
  often.select(0, 72);
  often.paste("w 1b; seed 3; d 1b");
  assert.deepEqual(activeSeeds(often.doc), [
    [12, 3],
    [36, 3],
    [60, 3],
  ]);
  for (const [lanes, text] of [
    [undefined, "s 2b"],
    [["w"], "seed 4; w 1b"],
  ]) {
    often.select(0, 24, lanes);
    often.paste(text);
    assert.deepEqual(activeSeeds(often.doc), [
      [12, 3],
      [36, 3],
      [60, 3],
    ]);
  }

  // into a branch, and from a row inside a block: the block of the row that the script says
  const branch = editorOf();
  branch.fork();
  branch.moveTo(20);
  branch.paste("seed 7; w 1b");
  assert.deepEqual([branch.doc.seeds, activeSeeds(branch.doc)], [undefined, [[24, 7]]]);
});
