// Takes: what was held in each of the 25 samples a second, and nothing that was not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Take, actionOf } from "../../../web/timeline/input/record.mjs";
import { History } from "../../../web/timeline/editing/history.mjs";
import { readCamera } from "../../../web/timeline/editing/exact.mjs";
import { translator, unknownKeys } from "../../../web/timeline/parts/i18n.mjs";
import { VARIANTS } from "../../../web/model/variants.mjs";

const samples = (take, n) => {
  for (let i = 0; i < n; i++) take.sample();
};

test("held keys, chords and a tap between two samples", () => {
  const take = new Take(VARIANTS.universal, ["w", "a", "yaw", "pitch"]);
  samples(take, 2);
  take.down("KeyW");
  samples(take, 3);
  take.down("KeyA");
  take.up("KeyA"); // between two samples: counts for one row
  take.down("KeyA"); // a key that repeats is still one press
  take.up("KeyA");
  samples(take, 2);
  take.up("KeyW");
  samples(take, 1);
  assert.deepEqual(take.tracks(), { w: [[2, 5]], a: [[5, 1]], yaw: [], pitch: [] });
});

test("lanes that are not armed are not part of the take", () => {
  const take = new Take(VARIANTS.universal, ["w"]);
  take.down("KeyD");
  take.move(50, 50);
  samples(take, 4);
  assert.deepEqual(take.tracks(), { w: [] });
});

test("the mouse turns, down is down, and is spent with the sample", () => {
  const take = new Take(VARIANTS.universal, ["yaw", "pitch"]);
  take.move(10, 5);
  samples(take, 2);
  take.move(1000, 0);
  samples(take, 1);
  take.down("ArrowLeft");
  samples(take, 2);
  assert.deepEqual(take.tracks(), {
    yaw: [
      [0, 0.1],
      [1, 0],
      [2, 0.3],
      [3, -0.1],
    ],
    pitch: [
      [0, -0.05],
      [1, 0],
    ],
  });
});

test("nothing is held after the focus is lost", () => {
  const take = new Take(VARIANTS.universal, ["w", "yaw"]);
  take.down("KeyW");
  take.stick = { yaw: 0.1, pitch: 0 };
  samples(take, 2);
  take.release();
  samples(take, 2);
  assert.deepEqual(take.tracks(), {
    w: [[0, 2]],
    yaw: [
      [0, 0.1],
      [2, 0],
    ],
  });
});

test("one action at a time: the last that was pressed", () => {
  const take = new Take(VARIANTS.templerun, ["idle"]);
  take.down("KeyW");
  samples(take, 2);
  take.down("KeyD");
  samples(take, 2);
  take.up("KeyD");
  samples(take, 1);
  const { jump, side_right: right } = take.tracks();
  assert.deepEqual(
    [jump, right],
    [
      [
        [0, 2],
        [4, 1],
      ],
      [[2, 2]],
    ],
  );
});

test("A and D steer in gta_drive, and nothing sets pitch there", () => {
  assert.deepEqual(actionOf(VARIANTS.gta_drive, "KeyA"), { key: null, axis: "yaw", sign: -1 });
  assert.equal(actionOf(VARIANTS.gta_drive, "ArrowUp"), null);
  assert.deepEqual(actionOf(VARIANTS.universal, "KeyA"), { key: "a", axis: null, sign: 0 });
  assert.equal(actionOf(VARIANTS.templerun, "KeyL"), null);
});

test("the history keeps 200 steps and forgets what was undone", () => {
  const history = new History(0);
  for (let i = 1; i <= 300; i++) history.push(i);
  assert.equal(history.states.length, 201);
  history.at = 0;
  assert.equal(history.now, 100);
  assert.equal(history.canUndo, false);
  history.push(-1);
  assert.equal(history.canRedo, false);
  assert.deepEqual(history.states, [100, -1]);
});

test("camera values as people write them", () => {
  const words = translator("en");
  const values = {
    0.1: 0.1,
    "-.05": -0.05,
    "1.5deg": 0.1,
    "2°": 0.133333,
    "+0,2": 0.2,
    "-15 deg": -1,
    "−0.1": -0.1,
    "-0": 0,
  };
  for (const [text, value] of Object.entries(values))
    assert.deepEqual(readCamera(text, words, VARIANTS.universal.camera), { value }, text);
  for (const text of ["2", "16deg", "NaN", "Infinity", "1e400", "", "0.1.2", "1 rad", "--1"])
    assert.ok("error" in readCamera(text, words, VARIANTS.universal.camera), text);
});

test("a language adds no words that English lacks, and a missing one is English", () => {
  assert.deepEqual(unknownKeys(), []);
  assert.equal(translator("zh-TW")("tab.script"), "脚本");
  assert.equal(translator("he")("tab.script"), "Script");
});
