// The player's pacer, inputs and wire format without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VARIANTS } from "../../../web/model/variants.mjs";
import { activeTracks, readDocument } from "../../../web/model/document.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { withTake } from "../../../web/player/branch.mjs";
import { findNode, land } from "../../../web/player/landing.mjs";
import { PlayerInputs } from "../../../web/player/input/held_inputs.mjs";
import { takeApart } from "../../../web/player/link.mjs";
import { Busy } from "../../../web/player/view/busy.mjs";
import { codeOfKey } from "../../../web/timeline/input/record.mjs";
import { Pacer } from "../../../web/player/pacer.mjs";
import { Preview, choose, matrixOf, wanted } from "../../../web/player/view/preview.mjs";
import { Readouts } from "../../../web/player/view/readouts.mjs";
import { translator, unknownKeys } from "../../../web/player/view/words.mjs";

globalThis.localStorage = {
  stored: {},
  getItem(k) {
    return this.stored[k] ?? null;
  },
  setItem(k, v) {
    this.stored[k] = v;
  },
  removeItem(k) {
    delete this.stored[k];
  },
};

/** Blocks that come at the given times, drawn at 60 Hz: when each frame was drawn. */
function drawn(arrivals, frames = 12, until = arrivals.at(-1) + 2000) {
  const closed = [];
  const pacer = new Pacer(25, (frame) => closed.push(frame));
  const shown = [];
  let next = 0;
  for (let now = 0; now < until; now += 1000 / 60) {
    for (; next < arrivals.length && arrivals[next] <= now; next++) {
      pacer.add(
        Array.from({ length: frames }, (_, i) => next * frames + i),
        arrivals[next],
        true,
      );
    }
    const frame = pacer.due(now);
    if (frame !== null) shown.push([now, frame]);
  }
  return { pacer, shown, closed, gaps: shown.slice(1).map(([at], i) => at - shown[i][0]) };
}

/** Numbers from 0 to 1 that are the same each time. */
function random(seed) {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
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
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
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
  const inputs = new PlayerInputs(VARIANTS.universal);
  assert.equal(inputs.snapshot(0).keys.length, 0);
  assert.equal(inputs.snapshot(10), null);
  inputs.down("KeyW");
  inputs.down("KeyD");
  inputs.up("KeyD");
  const first = inputs.snapshot(20);
  assert.deepEqual([first.keys, first.taps], [["w"], ["w", "d"]]);
  assert.equal(inputs.snapshot(100), null);
  assert.deepEqual(inputs.snapshot(300).keys, ["w"]);
  inputs.move(10, 5);
  assert.deepEqual(
    inputs.snapshot(310).look.map((v) => Math.round(v * 1000) / 1000),
    [-0.05, 0.1],
  );
  assert.equal(inputs.snapshot(320), null);
  inputs.release();
  assert.deepEqual(inputs.snapshot(330).keys, []);
});

test("a key of one's own takes the place of the usual one, and is there next time", () => {
  new PlayerInputs(VARIANTS.universal).bind("w", "KeyT");
  const inputs = new PlayerInputs(VARIANTS.universal);
  assert.deepEqual(
    ["KeyT", "KeyW", "KeyS"].map((code) => inputs.action(code)?.key),
    ["w", undefined, "s"],
  );
  inputs.unbind();
  assert.equal(new PlayerInputs(VARIANTS.universal).action("KeyW").key, "w");
  localStorage.setItem("matrixgame.keys.universal", '{"ControlLeft": "w", "KeyT": "nonsense"}');
  assert.deepEqual(new PlayerInputs(VARIANTS.universal).own, {});
});

test("gamepads: the stick beyond half way is a key, the resting stick is nothing, no pitch where there is none", () => {
  const inputs = new PlayerInputs(VARIANTS.gta_drive);
  inputs.snapshot(0);
  const pad = (axes, pressed = []) =>
    inputs.pollGamepad([
      null,
      {
        connected: true,
        mapping: "standard",
        axes,
        buttons: Array.from({ length: 16 }, (_, i) => ({ pressed: pressed.includes(i) })),
      },
    ]);
  pad([0.1, 0.1, 0.1, 0.1]);
  assert.equal(inputs.snapshot(10), null);
  pad([1, -0.6, 0, 1]);
  const { keys, stick } = inputs.snapshot(20);
  assert.deepEqual([keys, stick], [["w"], [0, 0.1]]);
  pad([0, 0, 0, 0]);
  assert.deepEqual(inputs.snapshot(30).keys, []);
  const runner = new PlayerInputs(VARIANTS.templerun);
  runner.pollGamepad([
    { connected: true, mapping: "standard", axes: [0, 0, 0, 0], buttons: [{}, {}, {}, {}, { pressed: true }] },
  ]);
  assert.deepEqual(runner.snapshot(0).keys, ["turn_left"]);
});

test("what is no gamepad, or one that the browser does not know, moves nothing", () => {
  const pad = (id, mapping, axes, pressed = []) => ({
    id,
    connected: true,
    mapping,
    axes,
    buttons: Array.from({ length: 17 }, (_, i) => ({ pressed: pressed.includes(i) })),
  });
  const phantom = { ...pad("Keyboard Consumer Control", "", [0, 0]), buttons: [] };
  const inputs = new PlayerInputs(VARIANTS.universal);
  inputs.pollGamepad([phantom, pad("Xbox", "standard", [0, -1, 1, 0])]);
  assert.deepEqual([inputs.snapshot(0).keys, inputs.unknownPad], [["w"], ""]);
  inputs.pollGamepad([pad("at rest", "standard", [0, 0, 0, 0]), pad("in use", "standard", [0, 0, 0, 0], [13])]);
  assert.deepEqual(inputs.snapshot(10).keys, ["s"]);
  const triggers = pad("054c-0ce6-Wireless Controller", "", [0, -1, -1, 0, 0, -1, -1, -1]); // at rest, in a raw layout
  inputs.pollGamepad([triggers]);
  assert.deepEqual([inputs.snapshot(20).keys, inputs.pad, inputs.unknownPad], [[], { yaw: 0, pitch: 0 }, triggers.id]);
  inputs.pollGamepad([phantom]);
  assert.equal(inputs.unknownPad, "");
});

test("a key without a code is the one of its character", () => {
  const codeFor = (key, code = "") => codeOfKey({ key, code });
  assert.deepEqual(
    ["w", "W", "5", " ", "ArrowUp", "Escape", "Backspace", "ö", "Unidentified", ""].map((key) => codeFor(key)),
    ["KeyW", "KeyW", "Digit5", "Space", "ArrowUp", "Escape", "Backspace", "", "", ""],
  );
  assert.equal(codeFor("z", "KeyW"), "KeyW"); // where there is one it counts: WASD stay in their places
  assert.equal(codeFor("w", "Unidentified"), "KeyW");
});

test("keys can be chosen where nothing may be stored", () => {
  const { localStorage: kept } = globalThis;
  const denied = () => {
    throw new DOMException("denied", "SecurityError");
  };
  globalThis.localStorage = { getItem: denied, setItem: denied, removeItem: denied };
  const inputs = new PlayerInputs(VARIANTS.universal);
  assert.equal(inputs.bind("w", "ArrowUp"), false);
  assert.equal(inputs.action("ArrowUp").key, "w");
  inputs.unbind();
  assert.equal(inputs.action("KeyW").key, "w");
  globalThis.localStorage = kept;
});

test("what was asked for, or that a block is made, is said until it comes", () => {
  const shown = [];
  const busy = Object.create(Busy.prototype, {
    root: { value: { hasAttribute: () => !shown.length, toggleAttribute: (_, on) => on && (shown.length = 0) } },
    text: {
      value: {
        set textContent(text) {
          shown[0] = text;
        },
      },
    },
  });
  const player = (state) => ({ state: { state }, connected: true, words: (key) => key });
  busy.begin(performance.now());
  busy.draw(player("playing"));
  assert.deepEqual(shown, []);
  busy.begin(performance.now() - 1500);
  busy.draw(player("playing"));
  assert.deepEqual(shown, ["busy.first"]);
  busy.asked = "pause";
  busy.draw(player("playing"));
  assert.deepEqual(shown, ["busy.pause"]);
  busy.draw(player("paused"));
  assert.deepEqual(shown, []);
});

/** What the preview moves after what it is told and draws, without a page. */
function preview() {
  const canvas = { hidden: true, hasAttribute: () => canvas.hidden, toggleAttribute: (_, on) => (canvas.hidden = on) };
  const made = Object.create(Preview.prototype);
  Object.assign(made, { canvas, at: 0, latest: 0, answered: 0, asked: 0, paint: () => {} });
  made.rest();
  const { universal, templerun } = VARIANTS;
  let seq = 0;
  return {
    made,
    canvas,
    tell: (keys, stick = [0, 0], look = [0, 0], variant = universal) =>
      made.told({ seq: ++seq, keys, stick, look }, variant),
    templerun,
    draw: (now, on = true) => made.draw({ width: 640, height: 352 }, on, now),
  };
}

test("the next picture moves as keys and camera ask, and goes back when the frame made with them is there", () => {
  const { made, canvas, tell, draw } = preview();
  draw(0);
  assert.equal(canvas.hidden, true);
  tell(["w"], [0, 0.1]);
  draw(0); // no time later
  assert.equal(canvas.hidden, false);
  assert.ok(made.moved.zoom > 0.01);
  assert.ok(Math.abs(made.moved.yaw - (0.04 * 25 * 0.1 * 15) / 78) < 1e-9);
  made.answer(0); // a frame that was made before
  const { yaw } = made.moved;
  tell(["w"], [0, 0.1]); // held still
  draw(100);
  assert.ok(Math.abs(made.moved.yaw - yaw - (0.1 * 25 * 0.1 * 15) / 78) < 1e-9);
  made.answer(1);
  for (let now = 200; now < 1200; now += 100) draw(now);
  assert.equal(canvas.hidden, true);
  tell([]); // lets go: nothing moves
  draw(1300);
  assert.equal(canvas.hidden, true);
  tell([], [0, 0], [0.3, -0.2]); // the mouse
  draw(1300);
  assert.ok(made.moved.pitch > 0.05 && made.moved.yaw < -0.03);
  draw(1310, false); // paused, or recording
  assert.equal(canvas.hidden, true);
  draw(1320);
  assert.equal(canvas.hidden, true);
});

test("a count that begins anew, and that of another player, answer nothing by chance", () => {
  const { made, tell } = preview();
  for (let i = 0; i < 9; i++) tell(i % 2 ? ["w"] : ["s"]);
  made.answer(9);
  made.told({ seq: 1, keys: ["w"], stick: [0, 0], look: [0, 0] }, VARIANTS.universal);
  made.answer(9);
  assert.equal(made.answered < made.asked, true);
  made.answer(1);
  assert.equal(made.answered < made.asked, false);
});

test("the picture is moved against the camera, and never far", () => {
  const still = { yaw: 0, pitch: 0, zoom: 0, aside: 0 };
  const at = (moved, x, y) => {
    const [a, b, c, d, e, f] = matrixOf({ ...still, ...moved }, 640, 352);
    return [a * x + c * y + e, b * x + d * y + f].map(Math.round);
  };
  assert.deepEqual(at({}, 12, 34), [12, 34]);
  assert.ok(at({ yaw: 0.05 }, 320, 176)[0] < 300); // to the right: it goes left
  assert.ok(at({ pitch: 0.05 }, 320, 176)[1] > 190); // up: it goes down
  assert.deepEqual(at({ zoom: 0.05 }, 320, 176), [320, 176]); // forward: larger about the middle
  assert.ok(at({ zoom: 0.05 }, 0, 176)[0] < 0 && at({ zoom: -0.05 }, 0, 176)[0] > 0);
  assert.ok(at({ aside: 0.05 }, 320, 352)[0] < 300 && at({ aside: 0.05 }, 320, 0)[0] === 320); // near things most
  assert.ok(at({ yaw: 99 }, 320, 176)[0] >= 320 - 0.15 * 640);
  const { made, tell, templerun } = preview();
  tell(["jump"], [0, 0], [0, 0], templerun);
  assert.ok(made.moved.pitch > 0 && made.moved.zoom === 0);
});

test("it is on unless the system asks for less motion, and as the player chose", () => {
  const ask = (reduced) => (globalThis.matchMedia = () => ({ matches: reduced }));
  ask(false);
  assert.equal(wanted(), true);
  ask(true);
  assert.equal(wanted(), false);
  choose(true);
  assert.equal(wanted(), true);
  choose(false);
  ask(false);
  assert.equal(wanted(), false);
});

test("a timeline for a take covers no other node", () => {
  const take = documentOf({ s: [[0, 20]] }, 21);
  const play = { id: 1, widgets: [], pos: [0, 0], size: [520, 560] };
  const save = { id: 2, widgets: [], pos: [600, 0], size: [300, 400] };
  const low = { id: 3, widgets: [], pos: [700, 500], size: [300, 200] };
  const made = Object.assign(timelineNode(9), { size: [560, 430] });
  const graph = graphOf([play, save, low]);
  land(play, take, () => Object.assign(made, { graph }));
  assert.ok(made.pos[0] >= 520);
  assert.ok(made.pos[1] - 30 >= 700, `${made.pos}`);
});

test("one block is a block", () => {
  const words = translator("en");
  assert.deepEqual(
    [1, 2].map((blocks) => words("read.blocks", { blocks, seconds: 1 })),
    ["1 block · 1 s", "2 blocks · 1 s"],
  );
});

test("a gamepad that goes away holds nothing any more", () => {
  const inputs = new PlayerInputs(VARIANTS.universal);
  inputs.pollGamepad([{ connected: true, mapping: "standard", axes: [0, -1, 1, 0], buttons: [] }]);
  assert.deepEqual(inputs.snapshot(0).keys, ["w"]);
  inputs.pollGamepad([null, null]);
  const { keys, stick } = inputs.snapshot(300);
  assert.deepEqual([keys, stick], [[], [0, 0]]);
  inputs.press("w", true); // what a finger holds is not the gamepad's
  inputs.pollGamepad([null, null]);
  assert.deepEqual(inputs.snapshot(400).keys, ["w"]);
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

const documentOf = (tracks, length, branches = [], markers = []) => ({
  format: "matrixgame.timeline",
  version: 1,
  variant: "universal",
  fps: 25,
  length,
  tracks,
  markers,
  loop: null,
  branches,
  active: null,
});

test("a take becomes a branch that is in use, and what was there stays", () => {
  const before = readDocument(
    JSON.stringify(
      documentOf(
        { w: [[0, 9]] },
        9,
        [{ id: "take-1", name: "take 1", fork: 0, tracks: { w: [] } }],
        [{ t: 4, name: "mine" }],
      ),
    ),
  );
  const take = documentOf(
    {
      s: [[0, 20]],
      yaw: [
        [0, 0.1],
        [20, 0],
      ],
    },
    21,
    [{ id: "take-1", name: "take 1", fork: 8, tracks: { a: [[0, 8]] } }],
    [
      { t: 4, name: "its" },
      { t: 8, name: "recording" },
    ],
  );
  const after = readDocument(JSON.stringify(withTake(before, take)));
  assert.deepEqual(
    [after.length, after.active, after.branches.map((b) => b.id)],
    [21, "take-3", ["take-1", "take-2", "take-3"]],
  );
  assert.deepEqual(after.tracks.w, [[0, 9]]);
  assert.deepEqual(
    after.markers.map((mark) => mark.name),
    ["mine", "recording"],
  );
  const { w, s } = activeTracks(after);
  assert.deepEqual([w, s], [[], [[0, 20]]]);
  assert.throws(() =>
    withTake(readDocument(JSON.stringify({ ...before, variant: "gta_drive", tracks: {}, branches: [] })), take),
  );
});

test("a longer timeline is marked where the take ends, and an untouched one is as long as the take", () => {
  const before = {
    ...readDocument(JSON.stringify(documentOf({ w: [[0, 45]] }, 45))),
    source: { kind: "script", text: "w 45f" },
  };
  const take = documentOf({ s: [[0, 20]] }, 21);
  const after = withTake(before, take);
  assert.deepEqual([after.length, after.markers, after.source], [45, [{ t: 21, name: "end of take 1" }], undefined]);
  const fresh = withTake(before, take, true);
  assert.deepEqual([fresh.length, fresh.markers, activeTracks(fresh).s], [21, [], [[0, 20]]]);
});

/** A graph of nodes by id; links: [id, from, slot, to, input]. */
function graphOf(nodes, links = []) {
  const graph = {
    _nodes: nodes,
    getNodeById: (id) => nodes.find((node) => node.id === id),
    getLink: (id) =>
      links
        .map(([link, from, slot, to]) => ({ id: link, origin_id: from, origin_slot: slot, target_id: to }))
        .find((link) => link.id === id),
  };
  for (const node of nodes) {
    Object.assign(node, { graph, properties: {}, pos: node.pos ?? [0, 0], size: node.size ?? [1, 1] });
    node.inputs = links.filter((link) => link[3] === node.id).map(([link, , , , name]) => ({ name, link }));
    node.outputs = [{ links: links.filter((link) => link[1] === node.id).map(([link]) => link) }];
  }
  return graph;
}

function timelineNode(id, variant = "universal") {
  const editor = new Editor(variant, (key) => key);
  return { id, widgets: [{ name: "variant", value: variant }, { timeline: { editor, setVariant: () => {} } }] };
}
const branchesOf = (node) => node.widgets[1].timeline.editor.doc.branches.map((branch) => branch.name);

test("a take lands where the node's takes went, else in its world, in the only timeline or in a new one", () => {
  const take = documentOf({ s: [[0, 20]] }, 21);
  const none = () => assert.fail("a node was made");
  const play = { id: 1, widgets: [] };
  const [one, other] = [timelineNode(2), timelineNode(3)];
  graphOf([play, one, timelineNode(4, "gta_drive")]);
  assert.deepEqual([land(play, take, none).owner, branchesOf(one)], [one, ["take 1"]]);
  one.widgets[1].timeline.editor.undo();
  assert.deepEqual(branchesOf(one), []);

  graphOf(
    [play, one, other, { id: 5 }, { id: 6 }],
    [
      [1, 5, 0, 1, "world"],
      [2, 5, 0, 6, "world"],
      [3, 3, 0, 6, "actions"],
    ],
  );
  assert.equal(land(play, take, none).owner, other);
  play.properties.matrixgame_timeline = 2;
  assert.equal(land(play, take, none).owner, one);

  const made = timelineNode(9);
  const graph = graphOf([play, one, other]);
  const landed = land(play, take, () => Object.assign(made, { graph }));
  assert.deepEqual([landed.owner, landed.name, play.properties.matrixgame_timeline], [made, "take 1", 9]);
});

test("nodes in subgraphs are found", () => {
  const inner = { id: 7 };
  const outer = graphOf([{ id: 12, subgraph: graphOf([inner]) }]);
  assert.deepEqual([findNode(outer, "12:7"), findNode(outer, "7"), findNode(outer, "12")?.id], [inner, undefined, 12]);
});
