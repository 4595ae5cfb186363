// The script language against the fixture that Python passes too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ScriptError, parseScript, printScript } from "../../web/script/script.mjs";

const fixture = JSON.parse(readFileSync(new URL("../fixtures/scripts.json", import.meta.url), "utf8"));

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
        variant: document.variant, frames, length: document.length, tracks: filled(document.tracks), markers: document.markers,
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
