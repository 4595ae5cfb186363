// @ts-check
/**
 * Reading tokens one after the other, and the directives at the head of a script; a port of token_reader.py and
 * directives.py.
 */
import { FPS, MAX_FRAMES, VARIANTS, defaultVariant } from "../model/variants.mjs";
import { firstPoints, points } from "../model/code_points.mjs";
import { ENDS, ScriptError, Token, fault, placeOf, sourceLine, tokens } from "./lexer.mjs";
import { ROUNDED_UNITS, UNITS, keyWords, suggestion } from "./vocabulary.mjs";

/** @typedef {import("../model/variants.mjs").Variant} Variant */

const SCRIPT_VERSION = 1;
const MAX_WARNINGS = 100;
const DIRECTIVES = ["version", "variant", "fps", "speed", "unit", "length"];
const UNITS_HINT = "units: f frames, l latent frames (4), b blocks (12), s seconds, ms milliseconds";

export class Reader {
  /** @param {string} text normalised @param {Variant | null} expected */
  constructor(text, expected) {
    this.text = text;
    this.expected = expected;
    this.variant = expected ?? defaultVariant();
    /** Of @speed; the camera's own without it. @type {number | null} */
    this.speed = null;
    this.unit = "f";
    /** @type {[number, Token] | null} */
    this.length = null;
    /** @type {import("./lexer.mjs").Note[]} */
    this.warnings = [];
    this.end = new Token("end", "", 0);
    this.depth = 0;
    /** @type {Map<string, string>} */
    this.words = new Map();
    this.tokens = tokens(text);
    this.next = 0;
  }

  /** @param {number} [ahead] @returns {Token} */
  peek(ahead = 0) {
    return this.tokens[Math.min(this.next + ahead, this.tokens.length - 1)];
  }

  take() {
    const token = this.peek();
    if (!ENDS.includes(token.kind)) this.next++;
    return token;
  }

  /** @param {string} symbol @param {number} [ahead] */
  sees(symbol, ahead = 0) {
    const token = this.peek(ahead);
    return token.kind === "symbol" && token.text === symbol;
  }

  /** @param {number} [ahead] */
  word(ahead = 0) {
    const token = this.peek(ahead);
    return token.kind === "word" ? token.text.toLowerCase() : "";
  }

  /** @param {string} symbol @param {string} after */
  expect(symbol, after) {
    if (!this.sees(symbol))
      throw this.error("expected", `expected '${symbol}' ${after}, got ${this.peek().shown}`, this.peek());
    return this.take();
  }

  /** @param {string} code @param {string} message @param {Token} place @param {string} [hint] @param {Token} [until] */
  error(code, message, place, hint = "", until = place) {
    const unreadable = fault(this.text, place) ?? fault(this.text, until);
    if (unreadable) return unreadable;
    const [line, column] = placeOf(this.text, place.at);
    const last = placeOf(this.text, until.at)[0] === line ? until : place;
    return new ScriptError(code, message, this.text, line, column, points(this.text.slice(place.at, last.stop)), hint);
  }

  /** @param {string} code @param {string} message @param {Token} place */
  warn(code, message, place) {
    if (this.warnings.length >= MAX_WARNINGS) return;
    const [line, column] = placeOf(this.text, place.at);
    const width = Math.max(1, points(this.text.slice(place.at, place.stop)));
    this.warnings.push({ code, message, line, column, width, source: sourceLine(this.text, line) });
  }

  skipSeparators() {
    while (this.peek().kind === "newline" || this.sees(";") || this.sees(",")) this.take();
  }

  /** @param {string} what */
  endOf(what) {
    const token = this.peek();
    if (token.kind === "newline" || token.kind === "end" || [";", ",", "}"].some((s) => this.sees(s))) return;
    throw this.error(
      "end-of-step",
      `expected end of ${what} before ${token.shown}`,
      token,
      `separate ${what}s with a new line, ',' or ';'`,
    );
  }

  /** @param {Token} place */
  tooLong(place) {
    const hint = `${MAX_FRAMES} frames are one hour; make several scripts`;
    return this.error("too-long", `the script makes more than ${MAX_FRAMES} frames`, place, hint);
  }

  // ---- numbers

  /** @param {string} what */
  number(what) {
    const token = this.peek();
    if (token.kind !== "number") throw this.error("expected", `expected ${what}, got ${token.shown}`, token);
    return this.take();
  }

  seedNumber() {
    const number = this.number("a seed");
    const seed = /^[0-9]{1,16}$/.test(number.text) ? Number(number.text) : Infinity;
    if (seed <= Number.MAX_SAFE_INTEGER) return seed;
    const message = `a seed is a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, got ${number.text.slice(0, 40)}`;
    throw this.error("seed", message, number);
  }

  /** The row of `at`, which may stand behind a marker or a seed; null where it does not. */
  atRow() {
    if (this.word() !== "at") return null;
    const word = this.take();
    if (this.depth) throw this.error("at-in-repeat", "'at' cannot be used inside repeat", word);
    return this.duration("a time")[0];
  }

  /** The unit written right behind `number`, or null. @param {Token} number */
  touchingUnit(number) {
    const token = this.peek();
    if (token.kind !== "word" || !token.touches(number)) return null;
    const word = token.text.toLowerCase();
    if (!Object.hasOwn(UNITS, word)) {
      const frames = number.text === "1" ? "1 frame" : `${number.text} frames`;
      const more = `${UNITS_HINT}; write '${number.text} ${token.text}' for ${frames} of ${token.text}`;
      throw this.error(
        "unit",
        `unknown unit '${firstPoints(token.text, 40)}'`,
        token,
        this.words.has(word) ? more : UNITS_HINT,
      );
    }
    this.take();
    return word;
  }

  /**
   * Rows, the number's token, and the duration as it was written.
   * @param {string} what @returns {[number, Token, string]}
   */
  duration(what) {
    const number = this.number(what);
    const unit = this.touchingUnit(number);
    return [this.rows(number, unit ?? this.unit, unit), number, firstPoints(number.text, 40) + (unit ?? "")];
  }

  /**
   * `number` units as rows; seconds are rounded, other units must come out whole.
   * @param {Token} number @param {string} unit @param {string | null} written
   */
  rows(number, unit, written) {
    const rows = number.text.length < 40 ? Number(number.text) * UNITS[unit] : Infinity;
    if (rows > MAX_FRAMES + 0.5) throw this.tooLong(number);
    const whole = Math.floor(rows + 0.5);
    if (!ROUNDED_UNITS.includes(unit) && Math.abs(rows - whole) > 1e-6) {
      const shown = number.text + (written ?? unit);
      const short = rows.toFixed(4).replace(/0+$/, "").replace(/\.$/, "");
      throw this.error("fraction", `${shown} is ${short} frames, which is not a whole number of frames`, number);
    }
    return whole;
  }

  /** A camera value in units, and its first token. @returns {[number, Token]} */
  cameraValue() {
    const { camera } = this.variant;
    const first = this.peek();
    const sign = this.sees("-") ? -1 : 1;
    if (this.sees("-") || this.sees("+")) this.take();
    const token = this.number("a number");
    let shown = (first !== token ? first.text : "") + token.text;
    let value = sign * Number(token.text);
    let last = token;
    if (this.word() === "deg" && this.peek().touches(token)) {
      last = this.take();
      shown += "deg";
      if (Math.abs(value) < 1e6) value = Math.floor((value / camera.unit) * 1e6 + 0.5) / 1e6;
    }
    shown = firstPoints(shown, 40);
    if (Math.abs(value) > camera.limit) {
      const degrees = Number((camera.speed * camera.unit).toPrecision(6));
      const hint = `${camera.speed} is what the model was benchmarked with (${degrees}deg a frame)`;
      throw this.error(
        "camera-range",
        `camera speed ${shown} is outside -${camera.limit}..${camera.limit}`,
        first,
        hint,
        last,
      );
    }
    if (Math.abs(value) > camera.tested)
      this.warn("fast-camera", `camera speed ${shown} is beyond ${camera.tested}, which is untested`, first);
    return [value + 0, first];
  }

  // ---- directives

  /** All directives, up to the first statement. */
  readHeader() {
    const seen = new Set();
    this.skipSeparators();
    while (this.sees("@")) {
      const at = this.take();
      const name = this.take();
      const word = name.text.toLowerCase();
      if (name.kind !== "word" || !DIRECTIVES.includes(word)) throw this.unknownDirective(at, name);
      if (seen.has(word)) throw this.error("directive-twice", `'@${word}' is given twice`, at, "", name);
      seen.add(word);
      this.readDirective(word);
      this.endOf("directive");
      this.skipSeparators();
    }
    if (this.lengthGiven) {
      const { number, unit } = this.lengthGiven;
      const rows = this.rows(number, unit ?? this.unit, unit);
      if (rows < 1) throw this.error("no-frames", `a script lasts at least one frame, got ${number.text}`, number);
      this.length = [rows, number];
    }
    this.words = keyWords(this.variant);
  }

  /** @param {Token} at @param {Token} name */
  unknownDirective(at, name) {
    const known = `directives: ${DIRECTIVES.map((d) => `@${d}`).join(" ")}`;
    const near = name.kind === "word" ? suggestion(name.text.toLowerCase(), DIRECTIVES) : null;
    const shown = name.kind === "word" ? `'@${name.text}'` : `'@' before ${name.shown}`;
    return this.error(
      "directive",
      `unknown directive ${shown}`,
      at,
      near ? `did you mean '@${near}'? ${known}` : known,
      name,
    );
  }

  /** @param {string} word */
  readDirective(word) {
    if (word === "version") this.readVersion();
    else if (word === "variant") this.readVariant();
    else if (word === "fps") {
      const token = this.number("a number of frames");
      if (Number(token.text) !== FPS)
        throw this.error("fps", `the model makes ${FPS} frames a second, got ${token.text}`, token);
    } else if (word === "speed") {
      const [value, token] = this.cameraValue();
      if (value < 0) throw this.error("speed", "a speed is 0 or more; left, right, up and down choose the way", token);
      this.speed = value;
    } else if (word === "unit") {
      const token = this.take();
      const unit = token.text.toLowerCase();
      if (token.kind !== "word" || !Object.hasOwn(UNITS, unit))
        throw this.error("unit", `expected a unit, got ${token.shown}`, token, UNITS_HINT);
      this.unit = unit;
    } else {
      const number = this.number("a duration");
      this.lengthGiven = { number, unit: this.touchingUnit(number) };
    }
  }

  readVersion() {
    const token = this.number("a version");
    if (integer(token) === SCRIPT_VERSION) return;
    const newer = `script version ${token.text} is newer than this node understands (${SCRIPT_VERSION})`;
    const older = `there is no script version ${token.text}; this node understands ${SCRIPT_VERSION}`;
    throw this.error("version", Number(token.text) > SCRIPT_VERSION ? newer : older, token);
  }

  readVariant() {
    const token = this.take();
    const name = token.text.toLowerCase();
    const hint = `variants: ${Object.keys(VARIANTS).join(" ")}`;
    if (token.kind !== "word" || !Object.hasOwn(VARIANTS, name)) {
      const near = token.kind === "word" ? suggestion(name, Object.keys(VARIANTS)) : null;
      const shown =
        token.kind === "word" ? `there is no variant ${token.shown}` : `expected a variant, got ${token.shown}`;
      throw this.error("variant", shown, token, near ? `did you mean '${near}'? ${hint}` : hint);
    }
    if (this.expected && this.expected.name !== name) {
      const message = `the script is for ${name}, but here the variant is ${this.expected.name}`;
      const error = this.error("other-variant", message, token, "load the other weights, or change the script");
      error.wanted = name;
      throw error;
    }
    this.variant = VARIANTS[name];
  }
}

/** @param {Token} token */
export function integer(token) {
  return /^[0-9]{1,9}$/.test(token.text) ? Number(token.text) : null;
}
