/** Pictures of stored blocks: which belongs to a row, what is asked for and kept, what is said where there is none. */
import assert from "node:assert/strict";
import test from "node:test";
import { emptyDocument } from "../../../web/model/document.mjs";
import { blocksOfFrames } from "../../../web/model/variants.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { PictureDesk } from "../../../web/timeline/pictures/desk.mjs";
import { filmCells } from "../../../web/timeline/pictures/film.mjs";
import { blocksAhead, frameAt, keysBefore, shownAt } from "../../../web/timeline/pictures/frames.mjs";
import { Pictures } from "../../../web/timeline/pictures/loaded.mjs";

const doc = emptyDocument("universal", 45);
const storedOf = (document, states, more = {}) => ({
  doc: document,
  project: "p",
  first: 0,
  blocks: states.map((state, k) => ({ state, key: `k${k}` })),
  ...more,
});
const all = (document, state = "cached") =>
  storedOf(
    document,
    Array.from({ length: blocksOfFrames(document.length) }, () => state),
  );
const settled = () => new Promise((done) => setImmediate(done));
const edited = (t) => ({ ...doc, tracks: { ...doc.tracks, w: [[t, 1]] } });

test("row t is held while frame t is on screen", () => {
  const frames = Array.from({ length: 45 }, (_, t) => frameAt(t));
  assert.deepEqual(frames[0], { block: 0, index: 0 });
  assert.deepEqual(frames[8], { block: 0, index: 8 });
  assert.deepEqual(frames[9], { block: 1, index: 0 });
  assert.deepEqual(frames[20], { block: 1, index: 11 });
  assert.deepEqual(frames[21], { block: 2, index: 0 });
  const order = frames.map(({ block, index }) => (block ? 12 * block - 3 : 0) + index);
  assert.deepEqual(order, [...order.keys()]);
});

test("a world that goes on shows its own blocks, each of 12 frames", () => {
  assert.deepEqual(frameAt(0, 3), { block: 0, index: 0 }); // the last frame before is not ours
  assert.deepEqual(frameAt(1, 3), { block: 0, index: 0 });
  assert.deepEqual(frameAt(12, 3), { block: 0, index: 11 });
  assert.deepEqual(frameAt(13, 3), { block: 1, index: 0 });
});

test("after an edit the blocks it reaches show what was there before, and say so", () => {
  const stored = all(doc);
  assert.deepEqual(shownAt(stored, edited(25), 8), { block: 0, index: 8, key: "k0", old: false, state: "cached" });
  assert.deepEqual(shownAt(stored, edited(25), 33), { block: 3, index: 0, key: "k3", old: true, state: "stale" });
  // the server has spoken: new keys, which are not stored
  const now = { ...storedOf(edited(25), ["cached", "cached", "stale", "empty"]), before: ["k0", "k1", "old2", "old3"] };
  assert.equal(shownAt(now, now.doc, 21).key, "old2");
  assert.equal(shownAt(now, now.doc, 33).key, "", "nothing is shown for what was never made");
});

test("what was stored before is remembered for the same branch, and for one that is forked from it", () => {
  const was = all(doc);
  const stale = (document) => storedOf(document, ["cached", "stale", "stale", "stale"]);
  assert.deepEqual(keysBefore(was, stale(edited(10))), ["k0", "k1", "k2", "k3"]);
  const branch = { id: "b", name: "b", fork: 0, tracks: {} };
  const forked = { ...doc, branches: [branch], active: "b" };
  assert.deepEqual(keysBefore(was, stale(forked)), ["k0", "k1", "k2", "k3"]);
  const main = all({ ...doc, branches: [branch], active: null });
  assert.deepEqual(keysBefore(main, stale(forked)), ["k0", "", "", ""], "another branch's pictures are not its past");
});

test("while it plays the next block is asked for, over the end of the loop", () => {
  assert.deepEqual(blocksAhead(doc, 9), [1, 2]);
  assert.deepEqual(blocksAhead({ ...doc, loop: [0, 30] }, 25), [2, 0]);
  assert.deepEqual(blocksAhead(doc, 44), [3]);
});

test("the filmstrip has a picture for each block, or for each few where they are narrow", () => {
  const editor = new Editor("universal", translator("en"));
  editor.load("w 1437f");
  editor.view.layout(editor.doc, 600, 300);
  const far = filmCells(editor.view, editor.doc);
  assert.ok(far.length > 5 && far.length <= 20, String(far.length));
  assert.ok(far.every(({ width }) => width > 0));
  const blocks = far.map(({ block }) => block);
  editor.view.zoom(editor.doc, 12, 300);
  const near = filmCells(editor.view, editor.doc);
  assert.ok(near.length < 20);
  assert.deepEqual(
    near.map(({ block }) => block - near[0].block),
    [...near.keys()],
  );
  assert.equal(blocks[0], 0);
});

/** Pictures whose loads are let go one by one. */
function loader() {
  const waiting = new Map();
  const closed = [];
  const load = (url) =>
    new Promise((done, fail) => {
      waiting.set(url, {
        fail: () => fail(new Error("no")),
        come: () => done({ image: { close: () => closed.push(url) }, width: 100, height: 120 }),
      });
    });
  return { waiting, closed, load };
}

test("only what is wanted is asked for, a few at a time; what is wanted no more never begins", async () => {
  const { waiting, load } = loader();
  let changes = 0;
  const pictures = new Pictures(load, { bytes: 1e9, together: 2, changed: () => changes++ });
  for (let k = 0; k < 120; k++) pictures.want([`k${k}`]); // scrubbed over quickly
  assert.deepEqual([...waiting.keys()], ["k0", "k1"]);
  waiting.get("k0").come();
  await settled();
  assert.deepEqual([...waiting.keys()], ["k0", "k1", "k119"]);
  waiting.get("k119").fail();
  await settled();
  assert.ok(pictures.hasFailed("k119") && pictures.get("k0") && !pictures.get("k119"));
  pictures.want(["k119"]);
  assert.equal(waiting.size, 3, "what failed is not asked for again");
  pictures.retry();
  pictures.want(["k119"]);
  await settled();
  assert.ok(!pictures.hasFailed("k119"));
  assert.equal(changes, 2);
});

test("memory is bounded: what was looked at longest ago goes, and is closed", async () => {
  const { waiting, closed, load } = loader();
  const size = 100 * 120 * 4;
  const pictures = new Pictures(load, { bytes: 3 * size, together: 9, changed: () => {} });
  for (let k = 0; k < 5; k++) {
    pictures.want([`k${k}`]);
    waiting.get(`k${k}`).come();
    await settled();
    pictures.get("k0");
  }
  assert.deepEqual([...pictures.kept.keys()], ["k3", "k4", "k0"]);
  assert.deepEqual(closed, ["k1", "k2"]);
  assert.equal(pictures.bytes, 3 * size);
  pictures.end();
  assert.equal(closed.length, 5);
});

/** A desk over an editor with two branches. */
function deskOf(kept = {}) {
  const editor = new Editor("universal", translator("en"));
  editor.load("w 45f");
  const { waiting, load } = loader();
  const said = [];
  editor.listeners.push((what, text) => what === "say" && said.push(text));
  const written = [];
  const desk = new PictureDesk(editor, {
    fetchPicture: load,
    changed: () => {},
    arrived: () => {},
    settings: { read: () => kept, write: (settings) => written.push(settings) },
  });
  const asked = [];
  const source = {
    stored: async (document) => (asked.push(document.active), all(document)),
    frame: (project, key) => `${project}/${key}`,
    frames: (project, key, height) => `${project}/${key}/${height}`,
  };
  return { editor, desk, waiting, said, written, asked, source };
}

test("without a cache it says what to do, and asks for nothing", () => {
  const { desk, waiting, source } = deskOf({ show: true });
  assert.match(desk.look(240)[0].note, /World Cache/);
  desk.connect(source);
  assert.match(desk.look(240)[0].note, /World Cache/);
  assert.equal(waiting.size, 0);
});

test("each state without a picture has its words", () => {
  const { editor, desk, source } = deskOf({ show: true });
  desk.connect(source);
  const notes = ["empty", "stale", "making", "failed"].map((state) => {
    editor.storedBlocks = storedOf(editor.doc, [state, state, state, state]);
    return desk.look(240)[0].note;
  });
  assert.equal(new Set(notes).size, 4);
  assert.ok(notes.every((note) => note.startsWith("block 0")));
});

test("playhead before pointer before cursor; a pointer that rests gives way to the cursor", async () => {
  const { editor, desk, waiting, source } = deskOf({ show: true });
  desk.connect(source);
  editor.storedBlocks = all(editor.doc);
  editor.moveTo(3);
  assert.equal(desk.row, 3);
  desk.point(30);
  assert.equal(desk.row, 30);
  assert.match(desk.caption, /^pointer: frame 30/);
  editor.moveTo(4);
  assert.equal(desk.row, 4);
  desk.point(30);
  editor.playhead = 9;
  assert.equal(desk.row, 9);
  desk.look(240);
  assert.deepEqual([...waiting.keys()], ["p/k1/240", "p/k2/240"], "the block at the playhead, and the next");
  waiting.get("p/k1/240").come();
  await settled();
  const [seen] = desk.look(240);
  assert.ok(seen.loaded);
  assert.deepEqual([seen.index, seen.count, seen.note], [0, 12, ""]);
});

test("two branches: the other is asked for only while it is looked at", async () => {
  const { editor, desk, asked, written, said, source } = deskOf();
  desk.connect(source);
  editor.storedBlocks = all(editor.doc);
  desk.compare("side");
  assert.match(said.at(-1), /no other branch/);
  editor.fork();
  desk.compare("one");
  await settled();
  assert.deepEqual(asked, []);
  desk.compare("wipe");
  await settled();
  assert.deepEqual(asked, [null]);
  const seen = desk.look(480);
  assert.deepEqual(
    seen.map(({ name, url }) => [name, url]),
    [
      ["branch 1", "p/k0/480"],
      ["main", "p/k0/480"],
    ],
  );
  assert.deepEqual(written.at(-1), { show: true, film: false, mode: "wipe", unit: "frames" });
  assert.equal(await desk.pictureOfBranch(null), "p/k3");
});
