// @ts-check
/**
 * Asks the server how the blocks of each timeline stand to its cache, and shows it: on edits, during runs, on hover.
 */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { rangesOf, stateOf } from "./timeline/view/strip.mjs";
import { hasPictures, keysBefore } from "./timeline/pictures/frames.mjs";
import { fileOf } from "./server_files.mjs";
import { blockOfInput } from "./model/variants.mjs";
import { writeDocument } from "./model/document.mjs";

const ROUTE = "/matrixgame/strip";
const EVENT = "matrixgame.strip";
const PACE = "matrixgame.pace";
const WAIT_MS = 120; // between two questions

const STYLE = `
.mg-hover { position: fixed; z-index: 10000; pointer-events: none; padding: 6px; border-radius: 4px; max-width: 240px;
  font: 12px sans-serif; color: var(--input-text, #ddd); background: var(--comfy-menu-bg, #222);
  border: 1px solid var(--border-color, #555); }
.mg-hover img { display: block; max-width: 228px; margin-bottom: 4px; }
`;

/** @type {Map<any, StripOf>} */
const strips = new Map();

/** The strip of one timeline node. */
class StripOf {
  /** @param {string} id that the timeline's node runs under @param {any} timeline */
  constructor(id, timeline) {
    this.id = id;
    this.timeline = timeline;
    this.timer = 0;
    this.asked = 0;
    /**
     * What was said of timelines, so that a flip or an undo shows at once.
     * @type {WeakMap<object, import("./timeline/view/strip.mjs").StoredBlocks>}
     */
    this.answers = new WeakMap();
    /** @type {HTMLElement | null} */
    this.tip = null;
    this.heard = (/** @type {string} */ what) => what === "edit" && this.edited();
    timeline.editor.listeners.push(this.heard);
    this.canvasEvents = new AbortController();
    const { signal } = this.canvasEvents;
    timeline.canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(event), {
      signal,
    });
    timeline.canvas.addEventListener("pointerleave", () => this.hide(), { signal });
    timeline.pictures.connect({
      stored: (/** @type {any} */ doc) => this.stored(doc, writeDocument(doc)),
      frame: (/** @type {string} */ project, /** @type {string} */ key) => addressOf(project, `frame/${key}`),
      result: (/** @type {string} */ script, /** @type {string} */ variant, /** @type {string} */ kind) =>
        fileOf("/matrixgame/result", { node: this.id, script, variant, kind }),
      frames: (/** @type {string} */ project, /** @type {string} */ key, /** @type {number} */ height) =>
        addressOf(project, `frames/${key}?height=${height}`),
    });
    this.later();
  }

  /** The timeline is gone, or runs under another id. */
  end() {
    const { listeners } = this.timeline.editor;
    listeners.splice(listeners.indexOf(this.heard), 1);
    this.canvasEvents.abort();
    window.clearTimeout(this.timer);
    this.hide();
  }

  /** A run has ended: more may be stored than before. */
  ranToEnd() {
    this.timeline.editor.pace = null;
    this.later();
    this.timeline.pictures.refresh();
  }

  edited() {
    const { editor } = this.timeline;
    editor.storedBlocks = this.answers.get(editor.doc) ?? editor.storedBlocks;
    this.later();
  }

  /** Ask: now, or when the last time is long enough ago. */
  later() {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(
      () => this.ask().catch(() => {}),
      Math.max(0, this.asked + WAIT_MS - performance.now()),
    );
  }

  async ask() {
    const { editor } = this.timeline;
    const doc = editor.doc;
    this.asked = performance.now();
    const stored = await this.stored(doc, this.timeline.sent);
    if (stored === undefined || editor.doc !== doc) return;
    if (stored) stored.before = keysBefore(editor.storedBlocks, stored);
    editor.storedBlocks = stored;
    if (stored) this.answers.set(doc, stored);
    this.timeline.redraw();
  }

  /**
   * What is stored of a timeline: null where there is no cache, undefined where the server does not say.
   * @param {import("./model/document.mjs").Timeline} doc @param {string} script
   * @returns {Promise<import("./timeline/view/strip.mjs").StoredBlocks | null | undefined>}
   */
  async stored(doc, script) {
    const body = JSON.stringify({ node: this.id, script, variant: doc.variant });
    const answer = await api.fetchApi(ROUTE, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (!answer.ok) return undefined;
    const { blocks, ...about } = await answer.json();
    return blocks.length ? { doc, blocks, ...about } : null;
  }

  /**
   * A run has come to a block; it may be one of another branch, which has another key.
   * @param {{project: string, first: number, block: number, state: string, key: string}} at
   */
  told({ project, first, block, state, key }) {
    const { editor } = this.timeline;
    this.answers = new WeakMap(); // what they say is old now
    const doc = editor.doc;
    const cached = editor.storedBlocks ?? { doc, project, first, blocks: [] };
    if ((cached.blocks[block]?.key || key) !== key) return;
    const blocks = cached.blocks.slice();
    while (blocks.length <= block) blocks.push({ state: "empty", key: "" });
    blocks[block] = { key, state: stateOf(state) };
    editor.storedBlocks = { ...cached, blocks };
    this.timeline.redraw();
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const { editor, pointers } = this.timeline;
    const { x, y } = pointers.point(event);
    const hit = editor.view.hit(editor.doc, x, y);
    const block = hit.area === "strip" && !hit.header && editor.storedBlocks ? blockOfInput(hit.t) : -1;
    const state = editor.blocks[block];
    if (!state) return this.hide();
    const tip =
      this.tip ?? document.body.appendChild(Object.assign(document.createElement("div"), { className: "mg-hover" }));
    this.tip = tip;
    tip.style.left = `${Math.min(event.clientX + 12, window.innerWidth - 250)}px`;
    tip.style.top = `${event.clientY + 16}px`;
    const what = `${block} ${state} ${editor.storedBlocks.blocks[block]?.key} ${editor.difference}`;
    if (tip.dataset.what !== what) this.fill(tip, what, block, state);
  }

  /**
   * @param {HTMLElement} tip @param {string} what @param {number} block
   * @param {import("./timeline/view/strip.mjs").BlockState} state
   */
  fill(tip, what, block, state) {
    const { editor, words } = this.timeline;
    const { storedBlocks: cached, comparison } = editor;
    tip.dataset.what = what;
    const { frames, inputs } = rangesOf(block);
    const line = document.createElement("div");
    const parts = [
      words("strip.block", { block, frames: frames.join("–"), inputs: inputs.join("–") }),
      words(`state.${state}`),
    ];
    if (comparison)
      parts.push(
        words(comparison.at && block >= comparison.at.block ? "strip.apart" : "strip.shared", {
          name: comparison.name,
        }),
      );
    line.textContent = parts.join(" · ");
    tip.replaceChildren(line);
    const key = cached.blocks[block]?.key;
    if (!hasPictures(state)) return;
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = addressOf(cached.project, `frame/${key}`);
    picture.addEventListener("error", () => picture.remove());
    tip.prepend(picture);
  }

  /**
   * How far a run is, or what is kept of one that was cancelled.
   * @param {import("./timeline/editing/cost.mjs").Pace & {cancelled?: number}} at
   */
  paced({ at, of, seconds, rate, cancelled }) {
    const { editor, words } = this.timeline;
    editor.pace = cancelled === undefined ? { at, of, seconds, rate } : null;
    if (cancelled !== undefined) editor.told = words("pace.cancelled", { n: cancelled, of });
    this.timeline.redraw();
  }

  hide() {
    this.tip?.remove();
    this.tip = null;
  }
}

/** @param {string} project @param {string} what */
const addressOf = (project, what) => api.apiURL(`/matrixgame/cache/${encodeURIComponent(project)}/${what}`);

/**
 * All timelines, and the ids that their nodes run under. One in a subgraph that is used twice runs under two; it shows
 * the first. @param {any} graph @param {string} [path] @param {Map<any, string>} [found]
 */
function timelines(graph, path = "", found = new Map()) {
  for (const node of graph?._nodes ?? []) {
    const id = `${path}${node.id}`;
    for (const { timeline, inner } of node.widgets ?? []) {
      if (timeline && !found.has(timeline)) found.set(timeline, inner === undefined ? id : `${id}:${inner}`);
    }
    if (node.isSubgraphNode?.()) timelines(node.subgraph, `${id}:`, found);
  }
  return found;
}

/** Strips of the timelines that are there now. */
function follow() {
  const found = timelines(app.rootGraph ?? app.graph?.rootGraph ?? app.graph);
  for (const [timeline, strip] of strips) {
    if (found.get(timeline) === strip.id) continue;
    strip.end();
    strips.delete(timeline);
  }
  for (const [timeline, id] of found) if (!strips.has(timeline)) strips.set(timeline, new StripOf(id, timeline));
}

app.registerExtension({
  name: "MatrixGame.CacheStrip",
  setup() {
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
    window.setInterval(follow, 1000);
    api.addEventListener(EVENT, (/** @type {any} */ event) => {
      for (const strip of strips.values()) if (strip.id === event.detail.node) strip.told(event.detail);
    });
    api.addEventListener(PACE, (/** @type {any} */ event) => {
      for (const strip of strips.values()) if (strip.id === event.detail.node) strip.paced(event.detail);
    });
    for (const end of ["execution_success", "execution_error", "execution_interrupted"]) {
      api.addEventListener(end, () => strips.forEach((strip) => strip.ranToEnd()));
    }
  },
});
