// Reads [script, variant, what Python makes of it] as JSON and prints what JavaScript makes of it where it differs.
import { readFileSync } from "node:fs";
import { ScriptError, parseScript, printScript } from "../../web/script/script.mjs";

/** Whether two JSON values are equal, numbers within 1e-9. */
function near(a, b) {
  if (typeof a === "number" && typeof b === "number") return Math.abs(a - b) <= 1e-9;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => near(v, b[i]));
  if (a && typeof a === "object" && b && typeof b === "object") {
    const keys = Object.keys(a).sort();
    return keys.join() === Object.keys(b).sort().join() && keys.every((key) => near(a[key], b[key]));
  }
  return a === b;
}

function read(script, variant) {
  try {
    const { document, frames, warnings } = parseScript(script, variant);
    const tracks = Object.fromEntries(Object.entries(document.tracks).filter(([, lane]) => lane.length));
    const told = warnings.map(({ code, line, column, width, message }) => [code, line, column, width, message]);
    const { length, markers, seeds = [] } = document;
    return { frames, length, tracks, markers, seeds, warnings: told, printed: printScript(document) };
  } catch (fault) {
    return fault instanceof ScriptError ? { error: fault.message } : { crash: String(fault) };
  }
}

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const different = cases
  .map(([script, variant, python]) => ({ script, variant, python, javascript: read(script, variant) }))
  .filter(({ python, javascript }) => !near(python, javascript));
console.log(JSON.stringify({ read: cases.length, different: different.slice(0, 5) }, null, 1));
