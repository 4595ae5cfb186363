// @ts-check
/** Statements and steps of a script; a port of parser.py and steps.py. Times are added up in to_timeline.mjs. */
import { FRAMES_PER_BLOCK, MAX_FRAMES, heldKeys } from "../model/variants.mjs";
import { points } from "../model/code_points.mjs";
import { UNREADABLE, placeOf } from "./lexer.mjs";
import { Reader, integer } from "./token_reader.mjs";
import { AXES, CAMERA, EASINGS, actionList, suggestion } from "./vocabulary.mjs";

/** @typedef {import("./lexer.mjs").Token} Token */
/** @typedef {{start: number, stop: number, ease: string | null}} Ramp */
/** @typedef {{kind: "step", keys: string[], camera: Record<string, Ramp>, frames: number, markers: number}} Step */
/** @typedef {{kind: "lanes", lanes: [string, Step[]][], frames: number, markers: number}} Lanes */
/** @typedef {{kind: "repeat", body: Statement[], times: number, frames: number, markers: number}} Repeat */
/** @typedef {{kind: "seed", seed: number, at: number | null, place: Token, frames: 0, markers: 0}} Seed */
/**
 * @typedef {{kind: "mark", name: string, pin: boolean, at: number | null, place: Token, frames: number, markers:
 *   number}} Mark
 */
/** @typedef {{kind: "wait", frames: number, markers: number}} Wait */
/** @typedef {Step | Lanes | Repeat | Mark | Seed | Wait} Statement */
/** @typedef {{keys: string[], words: string[], camera: Record<string, Ramp>, idle: boolean}} Chord */

export const MAX_MARKERS = 1000;
const MAX_NAME = 200;
const MAX_DEPTH = 16;
const SUSTAINED_UP = 2 * FRAMES_PER_BLOCK;
const LANES = ["keys", "cam", ...AXES];

export class Parser extends Reader {
  /** All statements of the script. */
  read() {
    this.readHeader();
    const body = this.statements(null);
    this.end = this.peek();
    return body;
  }

  /** @param {Token | null} opening @returns {Statement[]} */
  statements(opening) {
    /** @type {Statement[]} */
    const body = [];
    let frames = 0;
    for (;;) {
      this.skipSeparators();
      const token = this.peek();
      if (token.kind === "end") {
        if (!opening) return body;
        const [line, column] = placeOf(this.text, opening.at);
        throw this.error("open-brace", `'{' opened at ${line}:${column} is never closed`, token);
      }
      if (this.sees("}")) {
        if (!opening) throw this.error("close-brace", "'}' closes nothing", token);
        return body;
      }
      const statement = this.statement(frames);
      if (statement.kind !== "lanes") this.endOf("step");
      frames += statement.frames;
      if (frames > MAX_FRAMES) throw this.tooLong(token);
      body.push(statement);
    }
  }

  /** @param {number} now @returns {Statement} */
  statement(now) {
    const token = this.peek();
    const word = this.word();
    if (this.sees("@"))
      throw this.error("late-directive", "directives come before the first step", token, "", this.peek(1));
    if (this.sees(":")) return this.marker();
    if (word === "seed" && !this.words.has(word))
      return { kind: "seed", place: this.take(), seed: this.seedNumber(), at: this.atRow(), frames: 0, markers: 0 };
    if (word === "repeat" || (token.kind === "number" && this.word(1) === "x" && this.sees("{", 2)))
      return this.repeat();
    if (word === "at") return this.at(now);
    return this.atLane() ? this.lanes() : this.step("");
  }

  /** @returns {Mark} */
  marker() {
    const place = this.take();
    const token = this.take();
    if (token.kind !== "word" && token.kind !== "string") {
      throw this.error(
        "marker",
        `expected the name of a marker after ':', got ${token.shown}`,
        token,
        'markers: :start or :"look around"',
      );
    }
    const name =
      token.kind === "word" ? token.text : token.text.slice(1, -1).replaceAll('\\"', '"').replaceAll("\\\\", "\\");
    if (!name || points(name) > MAX_NAME) {
      throw this.error("marker", `the name of a marker has 1 to ${MAX_NAME} characters, got ${points(name)}`, token);
    }
    const at = this.atRow();
    const pin = this.word() === "pin";
    if (pin) this.take();
    return { kind: "mark", name, pin, at, place, frames: 0, markers: 1 };
  }

  /** @returns {Repeat} */
  repeat() {
    const start = this.take();
    const count = start.kind === "number" ? start : this.number("how many times");
    if (start.kind === "number") this.take();
    const times = integer(count);
    if (times === null || times < 1 || times > MAX_FRAMES) {
      throw this.error(
        "repeat",
        `repeat takes a whole number from 1 to ${MAX_FRAMES}, got ${count.text.slice(0, 40)}`,
        count,
      );
    }
    const opening = this.expect("{", "after the number of repeats");
    if (this.depth >= MAX_DEPTH) throw this.error("depth", `repeats are nested more than ${MAX_DEPTH} deep`, start);
    this.depth++;
    const body = this.statements(opening);
    this.depth--;
    const closing = this.take();
    const frames = times * body.reduce((sum, s) => sum + s.frames, 0);
    const markers = times * body.reduce((sum, s) => sum + s.markers, 0);
    if (!frames)
      throw this.error("empty-repeat", "there is nothing to repeat: no step inside takes time", opening, "", closing);
    if (frames > MAX_FRAMES) throw this.tooLong(start);
    if (markers > MAX_MARKERS) throw this.error("markers", `this repeat makes more than ${MAX_MARKERS} markers`, start);
    return { kind: "repeat", body, times, frames, markers };
  }

  /** @param {number} now @returns {Wait} */
  at(now) {
    const word = this.take();
    if (this.depth) throw this.error("at-in-repeat", "'at' cannot be used inside repeat", word);
    const [frame, number, shown] = this.duration("a time");
    if (frame < now)
      throw this.error("past", `at ${shown} is in the past: the script is already at frame ${now}`, number);
    if (frame > MAX_FRAMES) throw this.tooLong(word);
    return { kind: "wait", frames: frame - now, markers: 0 };
  }

  /** @returns {Lanes} */
  lanes() {
    /** @type {[string, Step[]][]} */
    const lanes = [];
    /** @type {Set<string>} */
    const names = new Set();
    while (this.atLane() && !names.has(this.word())) {
      const token = this.take();
      const name = token.text.toLowerCase();
      this.take();
      const clash = AXES.includes(name) ? names.has("cam") : name === "cam" && AXES.some((axis) => names.has(axis));
      if (clash) {
        const other = AXES.includes(name) ? name : AXES.find((axis) => names.has(axis));
        throw this.error(
          "lane-clash",
          `a cam lane sets yaw and pitch, so it cannot stand beside a ${other} lane`,
          token,
          "use cam alone, or yaw and pitch",
        );
      }
      if (name !== "keys") this.cameraAllowed(token, AXES.includes(name) ? [name] : ["yaw"], `a ${name} lane`);
      names.add(name);
      lanes.push([name, this.lane(name)]);
      this.endOf("step");
      this.skipSeparators();
    }
    const frames = Math.max(...lanes.map(([, steps]) => steps.reduce((sum, step) => sum + step.frames, 0)));
    return { kind: "lanes", lanes, frames, markers: 0 };
  }

  atLane() {
    return LANES.includes(this.word()) && this.sees(":", 1);
  }

  /** @param {string} name @returns {Step[]} */
  lane(name) {
    /** @type {Step[]} */
    const steps = [];
    let frames = 0;
    for (;;) {
      const token = this.peek();
      const step = this.step(name);
      steps.push(step);
      frames += step.frames;
      if (frames > MAX_FRAMES) throw this.tooLong(token);
      if (!this.sees(",")) return steps;
      this.take();
      while (this.peek().kind === "newline") this.take();
      if (this.atLane() || this.sees("}") || this.sees(";") || this.peek().kind === "end") return steps;
    }
  }

  // ---- steps

  /** @param {string} lane @returns {Step} */
  step(lane) {
    let frames = this.peek().kind === "number" ? this.stepDuration() : null;
    const { chord, first } = this.chord(lane);
    if (frames === null && this.peek().kind === "number") frames = this.stepDuration();
    else if (frames === null && this.sees("-")) frames = this.latents(this.take());
    else frames ??= FRAMES_PER_BLOCK;
    for (const { name: one, opposite: other } of this.variant.controls) {
      if (other && chord.keys.includes(one) && chord.keys.includes(other)) {
        this.warn("opposite", `'${one}' and '${other}' are opposites held together, which is untested`, first);
      }
    }
    const { pitch } = chord.camera;
    if (pitch && Math.max(pitch.start, pitch.stop) > 0 && frames >= SUSTAINED_UP) {
      this.warn("sustained-up", "looking up for long can make the picture go black", first);
    }
    const keys = heldKeys(this.variant).filter((key) => chord.keys.includes(key));
    return { kind: "step", keys, camera: chord.camera, frames, markers: 0 };
  }

  stepDuration() {
    const [frames, number, shown] = this.duration("a duration");
    if (frames < 1) throw this.error("no-frames", `a step lasts at least one frame, got ${shown}`, number);
    return frames;
  }

  /** @param {Token} dash */
  latents(dash) {
    if (this.peek().kind !== "number") {
      const message = `expected a number of latent frames after '-', got ${this.peek().shown}`;
      throw this.error("expected", message, this.peek(), "w-3 is w for 3 latent frames (12 frames)");
    }
    const number = this.take();
    const next = this.peek();
    if (next.kind === "word" && next.touches(number)) {
      const message = `after '-' comes a number of latent frames without a unit, got '${number.text}${next.text}'`;
      throw this.error("latents", message, dash, "", next);
    }
    const frames = this.rows(number, "l", null);
    if (frames < 1) throw this.error("no-frames", `a step lasts at least one frame, got ${number.text}`, number);
    return frames;
  }

  /** @param {string} lane @returns {{chord: Chord, first: Token}} */
  chord(lane) {
    /** @type {Chord} */
    const chord = { keys: [], words: [], camera: {}, idle: false };
    const first = this.peek();
    let last = first;
    for (;;) {
      last = this.action(chord, lane);
      if (!this.sees("+")) break;
      const plus = this.take();
      const next = this.peek();
      if (next.kind !== "word") {
        const place = UNREADABLE.includes(next.kind) ? next : plus;
        throw this.error(
          "expected",
          `expected an action after '+', got ${next.shown}`,
          place,
          `actions: ${actionList(this.variant)}`,
        );
      }
    }
    const shown = chord.words.join("+");
    if (this.variant.exclusive && chord.keys.length + Number(chord.idle) > 1) {
      throw this.error("exclusive", `${this.variant.name} takes one action at a time, got ${shown}`, first, "", last);
    }
    if (chord.idle && chord.keys.length)
      throw this.error("idle", `idle presses nothing, got ${shown}`, first, "", last);
    return { chord, first };
  }

  /** @param {Chord} chord @param {string} lane @returns {Token} */
  action(chord, lane) {
    const token = this.peek();
    const word = this.word();
    if (word && this.words.has(word)) return this.key(chord, lane);
    if (Object.hasOwn(CAMERA, word) || AXES.includes(word) || word === "look") return this.camera(chord, lane);
    if (token.kind !== "word")
      throw this.error(
        "expected",
        `expected an action, got ${token.shown}`,
        token,
        `actions: ${actionList(this.variant)}`,
      );
    throw this.error(
      "action",
      `unknown action '${token.text.slice(0, 40)}' for ${this.variant.name}`,
      token,
      this.meant(word),
    );
  }

  /** @param {string} word */
  meant(word) {
    const actions = `actions: ${actionList(this.variant)}`;
    const known = [
      ...this.words.keys(),
      ...(this.variant.mouse ? ["up", "down", "left", "right", "yaw", "pitch", "look"] : []),
    ];
    const stem = word.replace(/[0-9]+$/, "");
    if (stem !== word && known.includes(stem))
      return `put a space between an action and its duration: ${stem} ${word.slice(stem.length)}`;
    const near = suggestion(word, known);
    return near ? `did you mean '${near}'? ${actions}` : actions;
  }

  /** @param {Chord} chord @param {string} lane @returns {Token} */
  key(chord, lane) {
    const token = this.take();
    const word = token.text.toLowerCase();
    const key = this.words.get(word) ?? "";
    if (key === "idle") chord.idle = true;
    else {
      if (lane === "cam" || AXES.includes(lane))
        throw this.error("lane", `'${token.text}' is a key, and this is a ${lane} lane`, token);
      if (chord.keys.includes(key)) throw this.error("key-twice", `${key} is pressed twice in one step`, token);
      chord.keys.push(key);
    }
    chord.words.push(word);
    return token;
  }

  /** @param {Chord} chord @param {string} lane @returns {Token} */
  camera(chord, lane) {
    const token = this.take();
    const word = token.text.toLowerCase();
    const axes = word === "look" ? AXES : AXES.includes(word) ? [word] : [CAMERA[word][0]];
    this.cameraAllowed(token, axes, `'${token.text}'`);
    if (lane === "keys" || (AXES.includes(lane) && (axes.length > 1 || axes[0] !== lane))) {
      const what = lane === "keys" ? "moves the camera" : `sets ${axes.join(" and ")}`;
      throw this.error("lane", `'${token.text}' ${what}, and this is a ${lane} lane`, token);
    }
    for (const axis of axes) {
      if (!Object.hasOwn(chord.camera, axis)) continue;
      throw this.error(
        "axis-twice",
        `${axis} is set twice in one step`,
        token,
        "left and right set yaw, up and down set pitch, look sets both",
      );
    }
    if (Object.hasOwn(CAMERA, word)) {
      const [axis, sign] = CAMERA[word];
      let value = this.speed ?? this.variant.camera.speed;
      let last = token;
      if (this.sees("(")) {
        this.take();
        value = this.cameraValue()[0];
        last = this.expect(")", "after the speed");
      }
      chord.camera[axis] = { start: sign * value + 0, stop: sign * value + 0, ease: null };
      return last;
    }
    this.expect("(", `after '${token.text}'`);
    axes.forEach((axis, i) => {
      if (i) this.expect(",", "between yaw and pitch");
      chord.camera[axis] = this.ramp();
    });
    return this.expect(")", "after the value");
  }

  /** @param {Token} token @param {string[]} axes @param {string} what */
  cameraAllowed(token, axes, what) {
    const hint = `actions: ${actionList(this.variant)}`;
    if (!this.variant.mouse)
      throw this.error(
        "no-camera",
        `${what} moves the camera, and ${this.variant.name} has no camera input`,
        token,
        hint,
      );
    if (axes.includes("pitch") && !this.variant.pitch)
      throw this.error("no-pitch", `${what} sets pitch, which ${this.variant.name} never uses`, token, hint);
  }

  /** @returns {Ramp} */
  ramp() {
    const start = this.cameraValue()[0];
    let stop = start;
    if (this.sees("->") || this.sees("..")) {
      this.take();
      stop = this.cameraValue()[0];
    }
    let ease = "linear";
    if (this.peek().kind === "word") {
      const token = this.take();
      ease = token.text.toLowerCase();
      if (!EASINGS.includes(ease)) {
        const near = suggestion(ease, EASINGS);
        const hint = `easings: ${EASINGS.join(" ")}`;
        throw this.error(
          "easing",
          `unknown easing '${token.text.slice(0, 40)}'`,
          token,
          near ? `did you mean '${near}'? ${hint}` : hint,
        );
      }
    }
    return { start, stop, ease: start === stop ? null : ease };
  }
}
