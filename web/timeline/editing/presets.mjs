// @ts-check
/** Ready-made pieces: the variant's own, and those that the user saved. Each is a script, put in as a paste is. */
import { FPS } from "../../model/variants.mjs";
import { copyScript } from "./clipboard.mjs";

/** @typedef {import("./editor.mjs").Editor} Editor */
/** @typedef {{name: string, script: string, own: boolean}} Preset */
/** @typedef {{name: string, variant: string, script: string}} Saved */
/** @typedef {{read: () => unknown, write: (presets: Saved[]) => void}} Shelf where the user's own are kept */

const SECONDS = 4;
const MOST = 100; // of the user's own
const LONGEST_NAME = 60;

/**
 * The variant's own, of about four seconds, and the user's for it.
 * @param {import("../../model/variants.mjs").Variant} variant @param {Shelf} shelf @returns {Preset[]}
 */
export function presetsOf(variant, shelf) {
  const ready = Object.entries(variant.presets).map(([name, steps]) => ({
    name: name.replaceAll("_", " "),
    script: fill(steps, variant),
    own: false,
  }));
  const own = saved(shelf).filter((each) => each.variant === variant.name);
  return [...own.map(({ name, script }) => ({ name, script, own: true })), ...ready];
}

/**
 * The steps of a preset with its lengths and its speed, as the terminal fills them in.
 * @param {string} steps @param {import("../../model/variants.mjs").Variant} variant
 */
export function fill(steps, { camera }) {
  const rows = 4 * Math.round((SECONDS * FPS) / 4);
  /** @type {Record<string, number>} */
  const lengths = {
    n: rows,
    half: rows / 2,
    quarter: rows / 4,
    part: Math.max(4, Math.floor(rows / 8)),
    turn: Math.max(1, Math.round(90 / (camera.speed * camera.unit))),
    speed: camera.speed,
  };
  return steps
    .replaceAll("{{", "\u0001")
    .replaceAll("}}", "\u0002")
    .replace(/\{(\w+)\}/g, (_, name) => String(lengths[name]))
    .replaceAll("\u0001", "{")
    .replaceAll("\u0002", "}");
}

/** Keep the selection under a name; one of this name is replaced. @param {Editor} editor @param {Shelf} shelf */
export function savePreset(editor, shelf, /** @type {string} */ name) {
  const clean = name.trim().slice(0, LONGEST_NAME);
  if (!clean) return false;
  const { name: variant } = editor.variant;
  const others = saved(shelf).filter((each) => each.name !== clean || each.variant !== variant);
  shelf.write([{ name: clean, variant, script: copyScript(editor) }, ...others].slice(0, MOST));
  return true;
}

/** @param {Editor} editor @param {Shelf} shelf @param {string} name */
export function dropPreset(editor, shelf, name) {
  shelf.write(saved(shelf).filter((each) => each.name !== name || each.variant !== editor.variant.name));
}

/** What is kept and can be used: others may have written there. @param {Shelf} shelf @returns {Saved[]} */
function saved(shelf) {
  const found = shelf.read();
  return (Array.isArray(found) ? found : []).filter((each) =>
    ["name", "variant", "script"].every((field) => typeof each?.[field] === "string"),
  );
}

/** @type {Record<string, string>} */
export const EN = {
  "preset.title": "Presets: click, or drag into the lanes",
  "preset.save": "Save the selection as a preset…",
  "preset.delete": "Delete “{name}”",
  "preset.name": "Name of the preset",
  "preset.noname": "A preset needs a name",
  "preset.saved": "Saved as “{name}”; / lists the presets",
  "menu.presets": "Presets…",
};

/** @type {Record<string, string>} */
export const ZH = {
  "preset.title": "预设：点击，或拖入轨道",
  "preset.save": "将所选保存为预设…",
  "preset.delete": "删除“{name}”",
  "preset.name": "预设的名称",
  "preset.noname": "预设需要名称",
  "preset.saved": "已保存为“{name}”；按 / 列出预设",
  "menu.presets": "预设…",
};
