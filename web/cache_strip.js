// @ts-check
/** Asks the server how the blocks of each timeline stand to its cache, and shows it: on edits, during runs, on hover. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { rangesOf, stateOf } from "./timeline/strip.mjs";
import { blockOfInput } from "./timeline/variants.mjs";

const ROUTE = "/matrixgame/strip";
const EVENT = "matrixgame.strip";
const WAIT_MS = 120; // after an edit

const WORDS = {
  en: {
    block: "block", frames: "frames", inputs: "inputs", empty: "empty: not made yet", stale: "stale: will be made again",
    cached: "cached", resumable: "cached; a run can go on from its end at once", making: "being made", failed: "failed",
  },
  zh: {
    block: "块", frames: "帧", inputs: "输入", empty: "空：尚未生成", stale: "过期：将重新生成", cached: "已缓存",
    resumable: "已缓存；可从其末尾立即继续", making: "正在生成", failed: "失败",
  },
}; // prettier-ignore

const STYLE = `
.mg-hover { position: fixed; z-index: 10000; pointer-events: none; padding: 6px; border-radius: 4px; max-width: 240px;
  font: 12px sans-serif; color: var(--input-text, #ddd); background: var(--comfy-menu-bg, #222);
  border: 1px solid var(--border-color, #555); }
.mg-hover img { display: block; max-width: 228px; margin-bottom: 4px; }
`;

/** @type {Map<any, StripOf>} */
const strips = new Map();

function words() {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language ?? "en");
  return locale.startsWith("zh") ? WORDS.zh : WORDS.en;
}

/** The strip of one timeline node. */
class StripOf {
  /** @param {any} node @param {any} timeline */
  constructor(node, timeline) {
    this.node = node;
    this.timeline = timeline;
    this.timer = 0;
    /** @type {HTMLElement | null} */
    this.tip = null;
    timeline.editor.listeners.push((/** @type {string} */ what) => what === "edit" && this.later());
    timeline.canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(event));
    timeline.canvas.addEventListener("pointerleave", () => this.hide());
    this.later();
  }

  later() {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask().catch(() => {}), WAIT_MS);
  }

  async ask() {
    const { editor } = this.timeline;
    const doc = editor.doc;
    const body = JSON.stringify({ node: String(this.node.id), script: this.timeline.sent, variant: doc.variant });
    const answer = await api.fetchApi(ROUTE, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (!answer.ok || editor.doc !== doc) return;
    const { project, blocks } = await answer.json();
    editor.known = blocks.length ? { doc, project, blocks } : null;
    this.timeline.redraw();
  }

  /** A run has come to a block. @param {{block: number, state: string}} at */
  told({ block, state }) {
    const { editor } = this.timeline;
    const doc = editor.doc;
    const known = editor.known ?? { doc, project: "", blocks: [] };
    const blocks = known.blocks.slice();
    while (blocks.length <= block) blocks.push({ state: "empty", key: "" });
    blocks[block] = { ...blocks[block], state: stateOf(state) };
    editor.known = { ...known, blocks };
    this.timeline.redraw();
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const { editor, pointers } = this.timeline;
    const { x, y } = pointers.point(event);
    const hit = editor.view.hit(editor.doc, x, y);
    const block = hit.area === "strip" && !hit.header && editor.known ? blockOfInput(hit.t) : -1;
    const state = editor.blocks[block];
    if (!state) return this.hide();
    const tip = this.tip ?? document.body.appendChild(Object.assign(document.createElement("div"), { className: "mg-hover" }));
    this.tip = tip;
    tip.style.left = `${Math.min(event.clientX + 12, window.innerWidth - 250)}px`;
    tip.style.top = `${event.clientY + 16}px`;
    const what = `${block} ${state} ${editor.known.blocks[block]?.key}`;
    if (tip.dataset.what !== what) this.fill(tip, what, block, state);
  }

  /** @param {HTMLElement} tip @param {string} what @param {number} block @param {keyof WORDS["en"]} state */
  fill(tip, what, block, state) {
    const text = words();
    const { known } = this.timeline.editor;
    tip.dataset.what = what;
    const { frames, inputs } = rangesOf(block);
    const line = document.createElement("div");
    line.textContent = `${text.block} ${block} · ${text.frames} ${frames.join("–")} · ${text.inputs} ${inputs.join("–")} · ${text[state]}`;
    tip.replaceChildren(line);
    const key = known.blocks[block]?.key;
    if (state !== "cached" && state !== "resumable") return;
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = api.apiURL(`/matrixgame/cache/${encodeURIComponent(known.project)}/frame/${key}`);
    picture.onerror = () => picture.remove();
    tip.prepend(picture);
  }

  hide() {
    this.tip?.remove();
    this.tip = null;
  }
}

/** Strips of the timelines that are there now. */
function follow() {
  for (const node of strips.keys()) {
    if (node.graph) continue;
    strips.get(node)?.hide();
    strips.delete(node);
  }
  for (const node of app.graph?._nodes ?? []) {
    const timeline = node.widgets?.find((/** @type {any} */ widget) => widget.timeline)?.timeline;
    if (timeline && strips.get(node)?.timeline !== timeline) strips.set(node, new StripOf(node, timeline));
  }
}

app.registerExtension({
  name: "MatrixGame.CacheStrip",
  setup() {
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
    window.setInterval(follow, 1000);
    api.addEventListener(EVENT, (/** @type {any} */ event) => {
      for (const [node, strip] of strips) if (String(node.id) === event.detail.node) strip.told(event.detail);
    });
    for (const end of ["execution_success", "execution_error", "execution_interrupted"]) {
      api.addEventListener(end, () => strips.forEach((strip) => strip.later()));
    }
  },
});
