// @ts-check
/**
 * Asks the server how the blocks of each timeline stand to its cache, and shows it: on edits, during runs, on hover.
 */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { rangesOf, stateOf } from "./timeline/view/strip.mjs";
import { blockOfInput } from "./model/variants.mjs";

const ROUTE = "/matrixgame/strip";
const EVENT = "matrixgame.strip";
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
    const body = JSON.stringify({ node: this.id, script: this.timeline.sent, variant: doc.variant });
    const answer = await api.fetchApi(ROUTE, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (!answer.ok || editor.doc !== doc) return;
    const { project, blocks } = await answer.json();
    editor.storedBlocks = blocks.length ? { doc, project, blocks } : null;
    if (editor.storedBlocks) this.answers.set(doc, editor.storedBlocks);
    this.timeline.redraw();
  }

  /**
   * A run has come to a block; it may be one of another branch, which has another key.
   * @param {{block: number, state: string, key: string}} at
   */
  told({ block, state, key }) {
    const { editor } = this.timeline;
    this.answers = new WeakMap(); // what they say is old now
    const doc = editor.doc;
    const cached = editor.storedBlocks ?? { doc, project: "", blocks: [] };
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

  /** @param {HTMLElement} tip @param {string} what @param {number} block @param {string} state */
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
    if (!["cached", "resumable", "pinned"].includes(state)) return;
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = api.apiURL(`/matrixgame/cache/${encodeURIComponent(cached.project)}/frame/${key}`);
    picture.addEventListener("error", () => picture.remove());
    tip.prepend(picture);
  }

  hide() {
    this.tip?.remove();
    this.tip = null;
  }
}

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
    for (const end of ["execution_success", "execution_error", "execution_interrupted"]) {
      api.addEventListener(end, () => strips.forEach((strip) => strip.later()));
    }
  },
});
