// The script language against the fixture that Python passes too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ScriptError, parseScript, printScript } from "../../../web/script/script.mjs";
import { tokens } from "../../../web/script/lexer.mjs";

const fixture = JSON.parse(readFileSync(new URL("../../fixtures/scripts.json", import.meta.url), "utf8"));

/** Whether two JSON values are equal, numbers within 1e-9. */
function near(a, b) {
  if (typeof a === "number" && typeof b === "number") return Math.abs(a - b) <= 1e-9;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => near(v, b[i]));
  if (a && typeof a === "object") {
    const keys = Object.keys(a).sort();
    return keys.join() === Object.keys(b).sort().join() && keys.every((key) => near(a[key], b[key]));
  }
  return a === b;
}

const filled = (tracks) => Object.fromEntries(Object.entries(tracks).filter(([, lane]) => lane.length));

for (const { name, script, variant, runs, error } of fixture.cases) {
  test(`fixture: ${name}`, () => {
    let got;
    try {
      const { document, frames, warnings } = parseScript(script, variant ?? undefined);
      got = {
        variant: document.variant,
        frames,
        length: document.length,
        tracks: filled(document.tracks),
        markers: document.markers,
        warnings: warnings.map(({ code, line, column, width, message }) => ({ code, line, column, width, message })),
      };
    } catch (fault) {
      if (!(fault instanceof ScriptError)) throw fault;
      const { code, line, column, width, reason, hint } = fault;
      got = { code, line, column, width, message: reason, hint, text: fault.message };
    }
    const wanted = runs ?? { hint: "", text: got.text, ...error };
    assert.ok(near(got, wanted), `got ${JSON.stringify(got)}\nnot ${JSON.stringify(wanted)}`);
    if (!runs) return;
    const doc = parseScript(script, variant ?? undefined).document;
    const again = parseScript(printScript(doc)).document;
    assert.deepEqual([again.tracks, again.length, again.markers], [doc.tracks, doc.length, doc.markers]);
  });
}

/** Milliseconds of this process on a processor: what a busy machine hardly changes. */
const spent = () => process.cpuUsage().user / 1000;

test("10,000 damaged scripts: a timeline that prints and reads the same, or a proper error, never another one", () => {
  let state = 17;
  const next = (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  const pieces = [
    "repeat 3 {",
    "}",
    "\n",
    ",",
    ";",
    "+",
    "-",
    "->",
    "w",
    "jump",
    "left(",
    "0.1",
    "1e9",
    "12b",
    "@variant",
    "gta_drive",
    ":",
    '"',
    "\u{1F600}",
    "keys:",
    "cam:",
    "at",
    "yaw(0 -> 0.1 smooth)",
    "9".repeat(50),
    "\u0000",
  ];
  let good = 0;
  for (let i = 0; i < 10000; i++) {
    let text = fixture.cases[next(fixture.cases.length)].script.slice(0, 400);
    for (let j = next(4); j >= 0; j--) {
      const at = next(text.length + 1);
      text = text.slice(0, at) + (next(3) ? pieces[next(pieces.length)] : "") + text.slice(at + next(4));
    }
    const variant = [undefined, "universal", "gta_drive", "templerun"][next(4)];
    const begun = spent();
    try {
      const { document } = parseScript(text, variant);
      const again = parseScript(printScript(document)).document;
      assert.deepEqual(
        [again.tracks, again.length, again.markers],
        [document.tracks, document.length, document.markers],
        text,
      );
      good++;
    } catch (error) {
      assert.ok(error instanceof ScriptError, `${text}\n${error.stack}`);
      assert.ok(error.line >= 1 && error.column >= 1 && error.width >= 1);
      assert.ok(spent() - begun < 200, `took ${spent() - begun} ms to refuse ${text}`);
    }
  }
  assert.ok(good > 500, `${good} of them were scripts`);
});

test("nothing nests its way to hours", () => {
  for (const text of [
    "repeat 90009 { ".repeat(16) + "w 1" + " }".repeat(16),
    "repeat 99 {".repeat(5000),
    "w 12; ".repeat(200000),
  ]) {
    const begun = spent();
    assert.throws(() => parseScript(text), ScriptError);
    assert.ok(spent() - begun < 1000);
  }
});

test("no more words are read than a script may have, wherever its fault is", () => {
  const most = 60000;
  assert.equal(tokens("w 1;".repeat(200000)).length, most + 1);
  assert.throws(
    () => parseScript("w 1\n".repeat(30000)),
    (error) => {
      assert.deepEqual([error.code, error.line, error.column], ["too-much-text", 20001, 1]);
      return /more than 60000 words/.test(error.message);
    },
  );
  assert.throws(() => parseScript("x".repeat(5_000_000)), /more than 1000000 characters/);
  assert.equal(parseScript("w 1\n".repeat(20000)).frames, 20000);
});
