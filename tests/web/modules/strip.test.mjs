/** The strip as a cache knows it: what edits make of known states. */
import assert from "node:assert/strict";
import test from "node:test";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { emptyDocument } from "../../../web/model/document.mjs";
import { blocksOfFrames, firstInputOfBlock } from "../../../web/model/variants.mjs";
import { drawBlock, labelOf, rangesOf, stateOf, statesFor } from "../../../web/timeline/view/strip.mjs";

const doc = emptyDocument("universal", 45);
const cached = (states) => ({ doc, project: "p", blocks: states.map((state) => ({ state, key: "" })) });
const edited = (t) => ({ ...doc, tracks: { ...doc.tracks, w: [[t, 1]] } });

test("an untouched timeline is as the server said", () => {
  const states = ["cached", "resumable", "making", "failed"];
  assert.equal(blocksOfFrames(doc.length), states.length);
  assert.deepEqual(statesFor(cached(states), doc), states);
});

test("an edit makes stale what it reaches, until the server has spoken", () => {
  const states = ["cached", "cached", "resumable", "empty"];
  for (let block = 0; block < 4; block++) {
    const expected = states.map((state, k) => (k < block || state === "empty" ? state : "stale"));
    assert.deepEqual(statesFor(cached(states), edited(firstInputOfBlock(block))), expected);
  }
  assert.deepEqual(statesFor(cached(states), { ...edited(20) }).length, 4);
});

test("a longer timeline is empty where nothing is known", () => {
  const longer = { ...doc, length: 69 };
  assert.deepEqual(statesFor(cached(["cached", "cached", "cached", "cached"]), longer).slice(4), ["empty", "empty"]);
});

test("states are told by text as well, and differ in more than colour", () => {
  const all = ["empty", "stale", "cached", "resumable", "pinned", "making", "failed"];
  const labels = all.map((state) => labelOf(7, state));
  assert.equal(new Set(labels).size, labels.length);
  assert.deepEqual(["making", "made", "reused", "decoded", "failed"].map(stateOf), [
    "making",
    "cached",
    "cached",
    "cached",
    "failed",
  ]);
  const theme = {
    text: "text",
    line: "line",
    strong: "strong",
    bg: "bg",
    error: "error",
    accent: "accent",
    lane: () => ({ fill: "fill" }),
  };
  const drawn = all.map((state) => {
    const calls = [];
    const ctx = new Proxy(
      {},
      {
        get:
          (_, name) =>
          (...args) =>
            calls.push([name, ...args]),
        set: (_, name, value) => calls.push([name, value]),
      },
    );
    drawBlock(ctx, theme, state, 0, 0, 40, 8);
    return JSON.stringify(calls);
  });
  assert.equal(new Set(drawn).size, drawn.length);
  const words = all.map((state) => translator("en")(`state.${state}`));
  assert.equal(new Set(words).size, words.length);
  assert.ok(words.every((word, i) => word !== `state.${all[i]}`));
});

test("frames and inputs of a block", () => {
  assert.deepEqual(rangesOf(0), { frames: [0, 8], inputs: [0, 7] });
  assert.deepEqual(rangesOf(7), { frames: [81, 92], inputs: [80, 91] });
});
