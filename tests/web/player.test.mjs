// The player's pacer, hands and wire format without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VARIANTS } from "../../web/timeline/variants.mjs";
import { activeTracks, readDocument } from "../../web/timeline/document.mjs";
import { withTake } from "../../web/player/branch.mjs";
import { PlayerHands } from "../../web/player/inputs.mjs";
import { takeApart } from "../../web/player/link.mjs";
import { Pacer } from "../../web/player/pacer.mjs";
import { Readouts } from "../../web/player/readouts.mjs";
import { unknownKeys } from "../../web/player/words.mjs";

globalThis.localStorage = { stored: {}, getItem(k) { return this.stored[k] ?? null; }, setItem(k, v) { this.stored[k] = v; }, removeItem(k) { delete this.stored[k]; } };

/** Blocks that come at the given times, drawn at 60 Hz: when each frame was drawn. */
function drawn(arrivals, frames = 12, until = arrivals.at(-1) + 2000) {
  const closed = [];
  const pacer = new Pacer(25, (frame) => closed.push(frame));
  const shown = [];
  let next = 0;
  for (let now = 0; now < until; now += 1000 / 60) {
    for (; next < arrivals.length && arrivals[next] <= now; next++) {
      pacer.add(Array.from({ length: frames }, (_, i) => next * frames + i), arrivals[next], true);
    }
    const frame = pacer.due(now);
    if (frame !== null) shown.push([now, frame]);
  }
  return { pacer, shown, closed, gaps: shown.slice(1).map(([at], i) => at - shown[i][0]) };
}

/** Numbers from 0 to 1 that are the same each time. */
function random(seed) {
  let state = seed;
  return () => ((state = (state * 48271) % 2147483647) / 2147483647);
}

const share = (values, part) => [...values].sort((a, b) => a - b)[Math.floor(values.length * part)];

test("with 80 ms of jitter, 95 of 100 frames come within twice the nominal time", () => {
  for (let seed = 1; seed < 8; seed++) {
    const next = random(seed * 7919);
    const { gaps, pacer } = drawn(Array.from({ length: 60 }, (_, i) => 200 + 480 * i + 160 * (next() - 0.5)));
    assert.ok(share(gaps, 0.95) < 80, `seed ${seed}: ${share(gaps, 0.95)}`);
    assert.ok(pacer.dropped < 72, `${pacer.dropped} dropped`);
  }
});

test("frames are in order, and every one is shown or closed", () => {
  const { shown, closed } = drawn([0, 480, 700, 1440, 1500, 1510, 2400]);
  const order = shown.map(([, frame]) => frame);
  assert.deepEqual(order, [...order].sort((a, b) => a - b));
  assert.equal(order.length + closed.length, 84);
});

test("nothing is kept back: the first frame is shown at once, and a delay is caught up", () => {
  const arrivals = Array.from({ length: 40 }, (_, i) => 100 + 480 * i + (i === 10 ? 200 : 0));
  const { shown } = drawn(arrivals);
  const at = (frame) => shown.find(([, other]) => other >= frame)[0];
  assert.ok(at(0) - 100 < 20);
  assert.ok(at(12 * 39) - arrivals[39] < 120, String(at(12 * 39) - arrivals[39]));
});

test("slow blocks are stretched, not shown in bursts", () => {
  const { gaps } = drawn(Array.from({ length: 12 }, (_, i) => 960 * i));
  const late = gaps.slice(60, 120);
  assert.ok(share(late, 0.05) > 60, String(share(late, 0.05)));
});

test("a pause does not slow the picture down after it", () => {
  const pacer = new Pacer(25, () => {});
  pacer.add([1, 2, 3], 0, true);
  pacer.add([4, 5, 6], 500, true);
  pacer.restart();
  pacer.add([7], 60_000, true);
  assert.equal(pacer.step, 40);
  assert.equal(pacer.due(60_000), 7);
});

test("snapshots: only news, a word every quarter of a second while something is held, taps and turns once", () => {
  const hands = new PlayerHands(VARIANTS.universal);
  assert.equal(hands.snapshot(0).keys.length, 0);
  assert.equal(hands.snapshot(10), null);
  hands.down("KeyW");
  hands.down("KeyD");
  hands.up("KeyD");
  const first = hands.snapshot(20);
  assert.deepEqual([first.keys, first.taps], [["w"], ["w", "d"]]);
  assert.equal(hands.snapshot(100), null);
  assert.deepEqual(hands.snapshot(300).keys, ["w"]);
  hands.move(10, 5);
  assert.deepEqual(hands.snapshot(310).look.map((v) => Math.round(v * 1000) / 1000), [-0.05, 0.1]);
  assert.equal(hands.snapshot(320), null);
  hands.release();
  assert.deepEqual(hands.snapshot(330).keys, []);
});

test("a key of one's own takes the place of the usual one, and is there next time", () => {
  new PlayerHands(VARIANTS.universal).bind("w", "KeyT");
  const hands = new PlayerHands(VARIANTS.universal);
  assert.deepEqual(["KeyT", "KeyW", "KeyS"].map((code) => hands.action(code)?.key), ["w", undefined, "s"]);
  hands.unbind();
  assert.equal(new PlayerHands(VARIANTS.universal).action("KeyW").key, "w");
  localStorage.setItem("matrixgame.keys.universal", '{"ControlLeft": "w", "KeyT": "nonsense"}');
  assert.deepEqual(new PlayerHands(VARIANTS.universal).own, {});
});

test("gamepads: the stick beyond half way is a key, the resting stick is nothing, no pitch where there is none", () => {
  const hands = new PlayerHands(VARIANTS.gta_drive);
  hands.snapshot(0);
  const pad = (axes, pressed = []) => hands.pollGamepad([null, { connected: true, axes, buttons: Array.from({ length: 16 }, (_, i) => ({ pressed: pressed.includes(i) })) }]);
  pad([0.1, 0.1, 0.1, 0.1]);
  assert.equal(hands.snapshot(10), null);
  pad([1, -0.6, 0, 1]);
  const { keys, stick } = hands.snapshot(20);
  assert.deepEqual([keys, stick], [["w"], [0, 0.1]]);
  pad([0, 0, 0, 0]);
  assert.deepEqual(hands.snapshot(30).keys, []);
  const runner = new PlayerHands(VARIANTS.templerun);
  runner.pollGamepad([{ connected: true, axes: [0, 0, 0, 0], buttons: [{}, {}, {}, {}, { pressed: true }] }]);
  assert.deepEqual(runner.snapshot(0).keys, ["turn_left"]);
});

test("input to picture counts from the key to the first frame that knows of it", () => {
  const readouts = new Readouts();
  readouts.pressed(4, 1000);
  readouts.painted(3, 1200);
  assert.equal(readouts.latency, 0);
  readouts.painted(5, 1500);
  readouts.painted(6, 1540);
  assert.equal(readouts.latency, 500);
  assert.equal(readouts.rate, 3);
});

test("binary messages come apart", async () => {
  const head = new TextEncoder().encode('{"batch":1}');
  const bytes = new Uint8Array(4 + head.length + 4 + 2);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, head.length, true);
  bytes.set(head, 4);
  view.setUint32(4 + head.length, 2, true);
  bytes.set([7, 8], 8 + head.length);
  const [read, pictures] = takeApart(bytes.buffer);
  assert.equal(read.batch, 1);
  assert.deepEqual([...new Uint8Array(await pictures[0].arrayBuffer())], [7, 8]);
});

test("a language adds no words that English lacks", () => {
  assert.deepEqual(unknownKeys(), []);
});

test("a take becomes a branch that is in use, and what was there stays", () => {
  const doc = (tracks, length, branches = []) => ({ format: "matrixgame.timeline", version: 1, variant: "universal", fps: 25, length, tracks, markers: [], loop: null, branches, active: null });
  const before = doc({ w: [[0, 9]] }, 9, [{ id: "take-1", name: "take 1", fork: 0, tracks: { w: [] } }]);
  const take = doc({ s: [[0, 20]], yaw: [[0, 0.1], [20, 0]] }, 21, [{ id: "take-1", name: "take 1", fork: 8, tracks: { a: [[0, 8]] } }]);
  const after = readDocument(withTake(JSON.stringify(before), take));
  assert.deepEqual([after.length, after.active, after.branches.map((b) => b.id)], [21, "take-3", ["take-1", "take-2", "take-3"]]);
  assert.deepEqual(after.tracks.w, [[0, 9]]);
  const { w, s } = activeTracks(after);
  assert.deepEqual([w, s], [[], [[0, 20]]]);
  assert.throws(() => withTake(JSON.stringify({ ...before, variant: "gta_drive", tracks: {}, branches: [] }), take));
});
