// @ts-check
/** The pictures on Seed Gallery: a click on one puts its seed into the timeline, or into Start World without one. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { setSeed } from "./model/edit_signs.mjs";
import { addElement } from "./node_widget.mjs";
import { translatorOf } from "./timeline/parts/i18n.mjs";

const NODE = "MatrixGameSeedGallery";
const HEIGHT = 180; // of the pictures, at least
const TAKEN = "matrixgame_seed"; // in the node's properties

const WORDS = {
  en: {
    empty: "Run shows how it begins with each seed; a click takes one.",
    seed: "seed {seed}",
    timeline: "Seed {seed} is in the timeline, from its first block on.",
    world: "Seed {seed} is in Start World.",
    nowhere: "Seed {seed}: connect an Action Timeline or Start World, whose seed it can be.",
  },
  zh: {
    empty: "运行后显示每个种子的开头；点击即采用。",
    seed: "种子 {seed}",
    timeline: "种子 {seed} 已写入时间线，从其第一块起生效。",
    world: "种子 {seed} 已写入“开始世界”。",
    nowhere: "种子 {seed}：请连接可写入种子的“动作时间线”或“开始世界”。",
  },
};

const STYLE = `
.mg-seeds { box-sizing: border-box; height: 100%; display: flex; flex-direction: column; gap: 4px;
  font: 12px sans-serif; color: var(--input-text, #ddd); }
.mg-seeds > div { flex: 1; min-height: 0; overflow-y: auto; display: grid; gap: 4px; align-content: start;
  grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); }
.mg-seeds button { font: inherit; color: inherit; background: var(--comfy-input-bg, #333); border-radius: 4px;
  padding: 2px; border: 2px solid transparent; cursor: pointer; display: flex; flex-direction: column; gap: 2px;
  align-items: center; }
.mg-seeds button[aria-pressed="true"] { border-color: var(--p-primary-color, #6af); font-weight: bold; }
.mg-seeds button:focus-visible { outline: 2px solid var(--p-primary-color, #6af); }
.mg-seeds img { width: 100%; display: block; }
`;

/** @typedef {{filename: string, subfolder: string, type: string}} Picture */
/** @typedef {{pictures?: Picture[], seeds?: number[], text?: string | string[]}} Output */

/** What shows a result in each gallery of an open graph. @type {Map<any, (output: Output) => void>} */
const galleries = new Map();

/**
 * Show again what the frontend keeps of earlier runs: an undo, or another tab, makes the nodes anew.
 * @param {Record<string, Output> | undefined} outputs by the place of the node
 */
function showKept(outputs) {
  for (const [node, show] of galleries) {
    const inside = node.graph && node.graph !== app.graph ? `${node.graph.id}:` : "";
    const kept = outputs?.[`${inside}${node.id}`];
    if (kept) show(kept);
  }
}

/** The node that gives an input of this one, past reroutes. @param {any} node @param {string} name of the input */
function giverOf(node, name) {
  const slot = node.inputs?.findIndex((/** @type {any} */ input) => input.name === name) ?? -1;
  let giver = slot < 0 ? null : node.getInputNode(slot);
  while (giver?.type === "Reroute") giver = giver.getInputNode(0);
  return giver;
}

/**
 * Put a seed where the world's noise is decided.
 * @param {any} node the gallery @param {number} seed @returns {"timeline" | "world" | "nowhere"} where it is now
 */
function take(node, seed) {
  const timeline = giverOf(node, "actions")?.widgets?.find((/** @type {any} */ w) => w.timeline)?.timeline;
  if (timeline?.editor.editable) {
    timeline.editor.settle();
    timeline.editor.apply((/** @type {any} */ doc) => setSeed(doc, 0, seed));
    return "timeline";
  }
  const widget = giverOf(node, "world")?.widgets?.find((/** @type {any} */ w) => w.name === "seed");
  if (!widget) return "nowhere";
  widget.value = seed;
  widget.callback?.(seed, app.canvas, widget.node);
  return "world";
}

/** @param {any} node */
function addGallery(node) {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language ?? "en");
  const words = translatorOf(WORDS.en, { zh: WORDS.zh }, locale);
  const root = document.createElement("div");
  root.className = "mg-seeds";
  root.addEventListener("wheel", (event) => event.stopPropagation());
  const note = document.createElement("small");
  note.setAttribute("role", "status");
  note.textContent = words("empty");
  const grid = document.createElement("div");
  root.append(note, grid);
  const options = { serialize: false, getMinHeight: () => HEIGHT };
  addElement(node, "gallery", "MATRIXGAME_SEEDS", root, options, () => galleries.delete(node));

  const mark = () => {
    for (const each of grid.children)
      each.setAttribute("aria-pressed", String(Number(each.getAttribute("data-seed")) === node.properties[TAKEN]));
  };
  /** @param {Picture} picture @param {number} seed */
  const button = (picture, seed) => {
    const made = document.createElement("button");
    made.type = "button";
    made.setAttribute("data-seed", String(seed));
    const image = document.createElement("img");
    image.alt = "";
    image.src = api.apiURL(`/view?${new URLSearchParams({ ...picture })}`);
    made.append(image, words("seed", { seed: String(seed) }));
    made.addEventListener("click", () => {
      const where = take(node, seed);
      if (where !== "nowhere") node.properties[TAKEN] = seed;
      note.textContent = words(where, { seed: String(seed) });
      mark();
      app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.();
    });
    return made;
  };
  /** @param {Output} output */
  const show = ({ pictures, seeds, text }) => {
    if (!pictures || !seeds) return;
    grid.replaceChildren(...seeds.map((seed, i) => button(pictures[i], seed)));
    note.textContent = [text ?? []].flat().join(" ");
    mark();
  };
  galleries.set(node, show);
  const { onExecuted } = node;
  node.onExecuted = function (/** @type {any} */ output) {
    const result = onExecuted?.apply(this, arguments);
    show(output ?? {});
    return result;
  };
}

app.registerExtension({
  name: "MatrixGame.SeedGallery",
  setup() {
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
  },
  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass === NODE) addGallery(node);
  },
  afterConfigureGraph: () => showKept(app.nodeOutputs),
  onNodeOutputsUpdated: showKept,
});
