// @ts-check
/**
 * The script language `.mgs` in the browser. Python (actions/script.py) is the source of truth; both pass
 * tests/fixtures/scripts.json.
 */
import { VARIANTS } from "../model/variants.mjs";
import { normalise, tooMuchText } from "./lexer.mjs";
import { Parser } from "./parser.mjs";
import { writeTimeline } from "./to_timeline.mjs";

export { ScriptError } from "./lexer.mjs";
export { printScript } from "./printer.mjs";

/**
 * @typedef {object} Script
 * @property {import("../model/document.mjs").Timeline} document
 * @property {number} frames rows that the script asks for
 * @property {import("./lexer.mjs").Note[]} warnings in the order of the text
 */

/**
 * Read a script; throws ScriptError at the first fault.
 * @param {string} text @param {string} [variant] what the script is for @returns {Script}
 */
export function parseScript(text, variant) {
  const refused = tooMuchText(text);
  if (refused) throw refused;
  const parser = new Parser(normalise(text), variant ? VARIANTS[variant] : null);
  const { document, frames } = writeTimeline(parser, parser.read());
  const warnings = [...parser.warnings].sort((a, b) => a.line - b.line || a.column - b.column);
  return { document: { ...document, source: { kind: "script", text } }, frames, warnings };
}
