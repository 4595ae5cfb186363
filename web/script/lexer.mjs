// @ts-check
/** Script text to tokens, and the errors that point into the text; a port of lexer.py. Columns count code points. */
import { firstPoints, points } from "../model/code_points.mjs";

const MAX_TEXT = 1_000_000;
const MAX_TOKENS = 60_000; // words, numbers, signs and line ends of a script
const SHOWN = 100;
const STORE = "store a long recording as a timeline file (.json) or .npy";
/** Kinds of token that `fault` speaks of, and those that nothing follows. */
export const UNREADABLE = ["bad", "excess"];
export const ENDS = ["end", ...UNREADABLE];

// What a token is, in the order of the groups. Spaces and a comment before it belong to no token, and lines with
// nothing else belong to the newline before them.
const KINDS = ["", "newline", "number", "word", "string", "symbol", "end", "bad"];
const END = 6;
const BEFORE = /(?:[ \t\u00a0]+|#[^\n]*)*/;
const GROUPS = [
  /\n(?:[ \t\u00a0]*(?:#[^\n]*)?\n)*/,
  /[0-9]+(?:\.[0-9]+)?|\.[0-9]+/,
  /[A-Za-z_][A-Za-z0-9_]*/,
  /"(?:\\["\\]|[^"\\\x00-\x1f])*"/,
  /->|\.\.|[@:{}()+\-,;]/,
  /$/,
  /[^]/,
];
const TOKEN = new RegExp(`${BEFORE.source}(?:${GROUPS.map((group) => `(${group.source})`).join("|")})`, "guy");

export class Token {
  /** @param {string} kind @param {string} text @param {number} at where it begins in the text */
  constructor(kind, text, at) {
    this.kind = kind;
    this.text = text;
    this.at = at;
  }

  /** Where the token ends. */
  get stop() {
    return this.at + (this.kind === "newline" ? 0 : this.text.length);
  }

  /** The token as a message names it. */
  get shown() {
    if (this.kind === "newline") return "the end of the line";
    return this.kind === "end" ? "the end of the script" : `'${firstPoints(this.text, 40)}'`;
  }

  /** Whether nothing lies between `before` and this token. @param {Token} before */
  touches(before) {
    return this.at === before.stop;
  }
}

/**
 * @typedef {object} Note
 * @property {string} code
 * @property {string} message
 * @property {number} line
 * @property {number} column
 * @property {number} width
 * @property {string} source the line
 */

/** A script that cannot be read: where, why, and a hint. */
export class ScriptError extends Error {
  /**
   * @param {string} code @param {string} message @param {string} text @param {number} line @param {number} column
   * @param {number} width @param {string} [hint]
   */
  constructor(code, message, text, line, column, width, hint = "") {
    const source = sourceLine(text, line);
    const wide = Math.max(1, width);
    super(format("script", "error", message, source, line, column, wide, hint));
    this.code = code;
    this.reason = message;
    this.hint = hint;
    this.line = line;
    this.column = column;
    this.width = wide;
    this.source = source;
    /** The variant that the script is for, where that is what is wrong. */
    this.wanted = "";
  }
}

/** @param {string} text */
export function normalise(text) {
  return text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
}

/** Line `line` (from 1) of normalised `text`, tabs shown as one space. @param {string} text @param {number} line */
export function sourceLine(text, line) {
  let start = 0;
  for (let i = 1; i < line; i++) {
    start = text.indexOf("\n", start) + 1;
    if (!start) return "";
  }
  const end = text.indexOf("\n", start);
  return text.slice(start, end < 0 ? undefined : end).replace(/\t/g, " ");
}

/** Line and column of character `at`, from 1. @param {string} text @param {number} at @returns {[number, number]} */
export function placeOf(text, at) {
  let line = 1;
  let start = 0;
  for (let next = text.indexOf("\n"); next >= 0 && next < at; next = text.indexOf("\n", start)) {
    line++;
    start = next + 1;
  }
  return [line, points(text.slice(start, at)) + 1];
}

/**
 * The tokens of normalised `text`, spaces and comments left out. The last one is `end`; or `bad` at a character that
 * begins no token; or `excess` after MAX_TOKENS tokens. `fault` has the error of both.
 * @param {string} text @returns {Token[]}
 */
export function tokens(text) {
  /** @type {Token[]} */
  const found = [];
  let at = 0;
  while (found.length <= MAX_TOKENS) {
    TOKEN.lastIndex = at;
    const match = /** @type {RegExpExecArray} */ (TOKEN.exec(text));
    let group = 1;
    while (match[group] === undefined) group++;
    at += match[0].length;
    found.push(new Token(KINDS[group], match[group], at - match[group].length));
    if (group >= END) return found;
  }
  const last = found[MAX_TOKENS];
  found[MAX_TOKENS] = new Token("excess", "", last.at);
  return found;
}

/**
 * The error of a token that ends the text before its end; null for others.
 * @param {string} text @param {Token} token
 */
export function fault(text, token) {
  if (token.kind === "bad") return unreadable(text, token);
  if (token.kind !== "excess") return null;
  const [line, column] = placeOf(text, token.at);
  return new ScriptError(
    "too-much-text",
    `the script has more than ${MAX_TOKENS} words, numbers and signs`,
    text,
    line,
    column,
    1,
    STORE,
  );
}

/** The error of a text that is too long to be read at all. @param {string} text */
export function tooMuchText(text) {
  if (text.length <= MAX_TEXT || points(text) <= MAX_TEXT) return null;
  return new ScriptError(
    "too-much-text",
    `the script has more than ${MAX_TEXT} characters`,
    text.slice(0, 200),
    1,
    1,
    1,
    STORE,
  );
}

/** @param {string} text @param {Token} token */
function unreadable(text, token) {
  const letter = token.text;
  const [line, column] = placeOf(text, token.at);
  const point = letter.codePointAt(0) ?? 0;
  if (letter === '"') {
    const rest = text.indexOf("\n", token.at);
    const hint =
      'a name in quotes ends on its line, without tabs; in it write \\" for a quote and \\\\ for a backslash';
    const width = points(text.slice(token.at, rest < 0 ? undefined : rest));
    return new ScriptError("open-string", "this name is never closed with '\"'", text, line, column, width, hint);
  }
  const code = `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
  const hidden = point < 0xa1 || (point >= 0xd800 && point <= 0xdfff);
  const shown = letter >= "!" && letter <= "~" ? `'${letter}'` : hidden ? code : `'${letter}' (${code})`;
  return new ScriptError("character", `unexpected character ${shown}`, text, line, column, 1);
}

/**
 * @param {string} name @param {string} kind @param {string} message @param {string} source @param {number} line
 * @param {number} column @param {number} width @param {string} hint
 */
function format(name, kind, message, source, line, column, width, hint) {
  const letters = source.length > 20 * SHOWN ? [...source.slice(0, 2 * (column + SHOWN))] : [...source];
  const first = points(source) > SHOWN ? Math.max(0, column - 1 - SHOWN / 2) : 0;
  const shown = letters.slice(first, first + SHOWN);
  const caret = column - 1 - first;
  const wide = Math.max(1, Math.min(width, shown.length - caret));
  const gutter = `  ${line} | `;
  const under = `${" ".repeat(gutter.length - 2)}| ${" ".repeat(caret)}${"^".repeat(wide)}`;
  const lines = [`${name}:${line}:${column}: ${kind}: ${message}`, gutter + shown.join(""), under];
  if (hint) lines.push(`  hint: ${hint}`);
  return lines.join("\n");
}
