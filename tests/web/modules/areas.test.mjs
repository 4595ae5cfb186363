// What can be pressed on the canvas, as data: where it lies, what a press on it does, and what the pointer looks like.
import assert from "node:assert/strict";
import { test } from "node:test";
import { activeTracks } from "../../../web/model/document.mjs";
import { Editor } from "../../../web/timeline/editing/editor.mjs";
import { begin, shapeAt } from "../../../web/timeline/input/press.mjs";
import { translator } from "../../../web/timeline/parts/i18n.mjs";
import { areaAt, bandsOf, contains, hitAreas } from "../../../web/timeline/view/areas.mjs";

const WIDTH = 800;
const SCRIPT = "w 20; idle 20; w+d 15; yaw(0 -> 0.2 smooth) 30; d 1; idle 19";

/** An editor whose canvas is laid out, with a tool, two markers and a loop. */
function editorOf(tool, selection = null) {
  const editor = new Editor("universal", translator("en"));
  editor.load(SCRIPT);
  for (const [t, name] of [
    [10, "first"],
    [60, "second"],
  ]) {
    editor.moveTo(t);
    editor.mark(name);
  }
  editor.doc = { ...editor.doc, loop: [30, 50] };
  editor.commit();
  Object.assign(editor, { tool, selection });
  editor.view.layout(editor.doc, WIDTH, 320);
  return editor;
}

const middle = ({ rect, at }) => at ?? { x: rect.x + rect.width / 2, y: rect.y + rect.height / 2 };
const find = (editor, kind, fits = () => true) => {
  const area = hitAreas(editor).find((each) => each.kind === kind && fits(each));
  assert.ok(area, `there is a ${kind}`);
  return area;
};
/** Press in the middle of an area, move by so many pixels, and let go. */
function drag(editor, area, dx = 0, dy = 0) {
  const point = { ...middle(area), shift: false, alt: false };
  const made = begin(editor, point);
  const to = { ...point, x: point.x + dx, y: point.y + dy };
  if (dx || dy) made?.move(to);
  made?.end(to);
}

test("every point of the canvas is in the first area that contains it, and none sticks out", () => {
  let state = 3;
  const next = (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor(state / 65536) % below;
  };
  for (const tool of ["paint", "select", "ramp", "pan"]) {
    for (const selection of [null, { a: 40, b: 55, lanes: ["w"] }, { a: 10, b: 70, lanes: ["w", "s", "yaw"] }]) {
      const editor = editorOf(tool, selection);
      if (next(2)) editor.view.zoom(editor.doc, 6, 500);
      const areas = hitAreas(editor);
      for (const { kind, rect } of areas) {
        assert.ok(rect.x >= 0 && rect.x + rect.width <= WIDTH && rect.y + rect.height <= 320.001, kind);
        assert.ok(rect.width > 0 && rect.height > 0, kind);
      }
      for (let i = 0; i < 500; i++) {
        const [x, y] = [next(WIDTH), next(320)];
        const area = areaAt(editor, x, y);
        assert.ok(area, `${x}, ${y}`);
        assert.deepEqual(
          area,
          areas.find((each) => contains(each, x, y)),
        );
      }
    }
  }
});

test("the parts of the canvas are there without a document's contents", () => {
  const { view } = editorOf("paint");
  const kinds = bandsOf(view).map((band) => band.kind);
  assert.deepEqual([...new Set(kinds)].toSorted(), [
    "arm",
    "corner",
    "lane",
    "markers",
    "minimap",
    "name",
    "ruler",
    "strip",
  ]);
  assert.equal(kinds.filter((kind) => kind === "lane").length, view.rows.length);
});

test("a press on a name, its dot, a block, the ruler and the minimap", () => {
  const editor = editorOf("paint");
  drag(
    editor,
    find(editor, "arm", ({ row }) => row.id === "d"),
  );
  assert.deepEqual([...editor.armed], ["d"]);
  drag(
    editor,
    find(editor, "name", ({ row }) => row.id === "a"),
  );
  assert.equal(editor.cursor.lane, "a");
  drag(
    editor,
    find(editor, "block", ({ block }) => block === 3),
  );
  assert.deepEqual([editor.selection.a, editor.selection.b], [32, 44]);
  drag(editor, find(editor, "ruler"));
  const { rect } = find(editor, "ruler");
  assert.equal(editor.cursor.t, Math.floor(editor.view.time(rect.x + rect.width / 2)));
  editor.view.zoom(editor.doc, 8);
  drag(editor, find(editor, "minimap"), 9999);
  assert.ok(editor.view.scroll + editor.view.span >= editor.doc.length);
});

test("markers and the ends of the loop are taken by their signs and moved", () => {
  const editor = editorOf("paint");
  drag(
    editor,
    find(editor, "marker", ({ marker }) => marker.name === "second"),
    10 * editor.view.perFrame,
  );
  assert.deepEqual(
    editor.doc.markers.map((marker) => marker.t),
    [10, 70],
  );
  drag(
    editor,
    find(editor, "loopEnd", ({ end }) => end === 1),
    6 * editor.view.perFrame,
  );
  assert.deepEqual(editor.doc.loop, [30, 56]);
});

test("with the tool for selecting, runs are moved, and resized by their edges", () => {
  const editor = editorOf("select");
  const { perFrame } = editor.view;
  const first = ({ row, run }) => row.id === "w" && run[0] === 0;
  const right = find(editor, "runEdge", (area) => first(area) && area.side === "right");
  assert.equal(shapeAt(editor, middle(right).x, middle(right).y), "col-resize");
  drag(editor, right, 5 * perFrame);
  assert.deepEqual(activeTracks(editor.doc).w[0], [0, 25]);
  const run = find(editor, "run", first);
  assert.equal(shapeAt(editor, middle(run).x, middle(run).y), "move");
  drag(editor, run, 4 * perFrame);
  assert.deepEqual(activeTracks(editor.doc).w[0], [4, 25]);
});

test("a run too narrow for edges is moved, and several selected lanes go together", () => {
  const narrow = editorOf("select");
  assert.ok(narrow.view.perFrame < 10);
  const run = find(narrow, "run", ({ run: [, length] }) => length === 1);
  const [start] = run.run;
  assert.equal(hitAreas(narrow).filter((area) => area.kind === "runEdge" && area.run[0] === start).length, 0);
  const editor = editorOf("select", { a: 40, b: 55, lanes: ["w", "s", "a", "d"] });
  drag(
    editor,
    find(editor, "selection", ({ row }) => row.id === "d"),
    3 * editor.view.perFrame,
  );
  assert.deepEqual(
    [activeTracks(editor.doc).w[1], activeTracks(editor.doc).d[0]],
    [
      [43, 15],
      [43, 15],
    ],
  );
});

test("the pointer promises a move only in the lanes that are selected", () => {
  const editor = editorOf("select", { a: 62, b: 80, lanes: ["s"] });
  const at = (lane) => {
    const row = editor.view.rows.find((each) => each.id === lane);
    return shapeAt(editor, editor.view.x(70), row.top + row.height / 2);
  };
  assert.deepEqual([at("s"), at("w")], ["move", "default"]);
});

test("ends of ramps are taken by their circles, but not where a lane is painted", () => {
  const editor = editorOf("select");
  const stop = find(editor, "rampEnd", ({ end }) => end === "stop");
  drag(editor, stop, -5 * editor.view.perFrame);
  const ramp = activeTracks(editor.doc).yaw.find((entry) => entry.length === 5);
  assert.deepEqual([ramp[0], ramp[3]], [55, 25]);
  const outside = { x: stop.rect.x + 0.5, y: stop.rect.y + 0.5 };
  assert.equal(contains(stop, outside.x, outside.y), false);
  assert.equal(hitAreas(editorOf("paint")).filter((area) => area.kind === "rampEnd").length, 0);
});

test("nothing out of sight is an area, in a timeline of an hour", () => {
  const editor = new Editor("universal", translator("en"));
  editor.load("repeat 2000 { w 4; idle 4 }");
  editor.tool = "select";
  editor.view.layout(editor.doc, WIDTH, 320);
  editor.view.zoom(editor.doc, 1000, 400);
  const areas = hitAreas(editor);
  assert.ok(areas.length < 200, `${areas.length} areas`);
  assert.ok(areas.some((area) => area.kind === "runEdge"));
});
