// Reads [JSON text of a document, what Python makes of it] and prints what JavaScript makes of it where it differs.
import { readFileSync } from "node:fs";
import { DocumentError, activeSeeds, canonicalDocument, rowsOf } from "../../web/model/document.mjs";

/** Whether two JSON values are equal, numbers within 1e-6. */
function near(a, b) {
  if (typeof a === "number" && typeof b === "number") return Math.abs(a - b) <= 1e-6;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => near(v, b[i]));
  if (a && typeof a === "object" && b && typeof b === "object") {
    const keys = Object.keys(a).sort();
    return keys.join() === Object.keys(b).sort().join() && keys.every((key) => near(a[key], b[key]));
  }
  return a === b;
}

/** The lanes and rows of a document that is accepted; the kind and place of the fault of one that is refused. */
function read(text) {
  try {
    const doc = canonicalDocument(JSON.parse(text));
    const { tracks, length, markers, loop, active } = doc;
    const { keyboard, mouse } = rowsOf(doc);
    return { tracks, length, markers, loop, active, keyboard, mouse, seeds: activeSeeds(doc) };
  } catch (fault) {
    if (!(fault instanceof DocumentError)) return { crash: String(fault) };
    return { kind: fault.kind, place: fault.message.split(/: | must| is version/)[0] };
  }
}

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const different = cases
  .map(([text, python]) => ({ text, python, javascript: read(text) }))
  .filter(({ python, javascript }) => !near(python, javascript));
console.log(JSON.stringify({ read: cases.length, different: different.slice(0, 3) }, null, 1));
