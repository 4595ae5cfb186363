// @ts-check
/** Script text to tokens, and the errors that point into the text; a port of lexer.py. Columns count code points. */

export const MAX_TEXT = 4_000_000;
const SHOWN = 100;

const TOKEN =
  /(?<space>[ \t\u00a0]+|#[^\n]*)|(?<newline>\n)|(?<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?<word>[A-Za-z_][A-Za-z0-9_]*)|(?<string>"(?:\\["\\]|[^"\\\x00-\x1f])*")|(?<symbol>->|\.\.|[@:{}()+\-,;])/y;

/** Characters (code points) in `text`. @param {string} text */
export function points(text) {
  let extra = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) extra++;
  return text.length - extra;
}

/** The first `n` code points. @param {string} text @param {number} n */
export const firstPoints = (text, n) => (text.length <= n ? text : [...text.slice(0, 2 * n)].slice(0, n).join(""));

export class Token {
  /** @param {string} kind @param {string} text @param {number} line @param {number} column */
  constructor(kind, text, line, column) {
    this.kind = kind;
    this.text = text;
    this.line = line;
    this.column = column;
  }

  /** The column after the token. */
  get end() {
    return this.column + points(this.text);
  }

  /** The token as a message names it. */
  get shown() {
    if (this.kind === "newline") return "the end of the line";
    return this.kind === "end" ? "the end of the script" : `'${firstPoints(this.text, 40)}'`;
  }

  /** Whether nothing lies between `before` and this token. @param {Token} before */
  touches(before) {
    return this.line === before.line && this.column === before.end;
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
  /** @param {string} code @param {string} message @param {string} text @param {number} line @param {number} column @param {number} width @param {string} [hint] */
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

/** The tokens of normalised `text`, spaces and comments left out, with an `end` token last. @param {string} text @returns {Generator<Token>} */
export function* tokens(text) {
  let line = 1;
  let column = 1;
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) throw unreadable(text, at, line, column);
    const found = match[0];
    const groups = /** @type {Record<string, string | undefined>} */ (match.groups);
    at += found.length;
    if (groups.newline !== undefined) {
      yield new Token("newline", "", line, column);
      line++;
      column = 1;
      continue;
    }
    const kind = ["space", "number", "word", "string", "symbol"].find((name) => groups[name] !== undefined) ?? "";
    if (kind !== "space") yield new Token(kind, found, line, column);
    column += points(found);
  }
  yield new Token("end", "", line, column);
}

/** @param {string} text @param {number} at @param {number} line @param {number} column */
function unreadable(text, at, line, column) {
  const point = text.codePointAt(at) ?? 0;
  const letter = String.fromCodePoint(point);
  if (letter === '"') {
    const rest = text.indexOf("\n", at);
    const hint = 'a name in quotes ends on its line, without tabs; in it write \\" for a quote and \\\\ for a backslash';
    return new ScriptError("open-string", "this name is never closed with '\"'", text, line, column, points(text.slice(at, rest < 0 ? undefined : rest)), hint);
  }
  const code = `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
  const hidden = point < 0xa1 || (point >= 0xd800 && point <= 0xdfff);
  const shown = letter >= "!" && letter <= "~" ? `'${letter}'` : hidden ? code : `'${letter}' (${code})`;
  return new ScriptError("character", `unexpected character ${shown}`, text, line, column, 1);
}

/** @param {string} name @param {string} kind @param {string} message @param {string} source @param {number} line @param {number} column @param {number} width @param {string} hint */
function format(name, kind, message, source, line, column, width, hint) {
  const letters = source.length > 20 * SHOWN ? [...source.slice(0, 2 * (column + SHOWN))] : [...source];
  const first = points(source) > SHOWN ? Math.max(0, column - 1 - SHOWN / 2) : 0;
  const shown = letters.slice(first, first + SHOWN);
  const caret = column - 1 - first;
  const wide = Math.max(1, Math.min(width, shown.length - caret));
  const gutter = `  ${line} | `;
  const under = `${" ".repeat(gutter.length - 2)}| ${" ".repeat(caret)}${"^".repeat(wide)}`;
  return `${name}:${line}:${column}: ${kind}: ${message}\n${gutter}${shown.join("")}\n${under}${hint ? `\n  hint: ${hint}` : ""}`;
}
