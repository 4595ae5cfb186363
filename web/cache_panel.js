// @ts-check
/** The list in World Cache: every project with its sizes and newest frame; lets go of memory, deletes. And on Roll Out
 * a line that says how much of a run came from a cache. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { addElement } from "./node_widget.mjs";
import { translatorOf } from "./timeline/parts/i18n.mjs";

const NODE = "MatrixGameWorldCache";
const ROLL_OUT = "MatrixGameRollOut";
const ROUTE = "/matrixgame/cache";
const REPORT = { least: 16, most: 80, margin: 4 }; // heights of the line on Roll Out, and the room around it
const SURE_MS = 10_000; // how long a second click on Forget deletes

const WORDS = {
  en: {
    empty: "Nothing is cached yet.",
    blocks: "{n} {n:block|blocks}",
    states: "{n} {n:state|states}",
    pinned: "{n} pinned",
    disk: "on disk",
    memory: "in memory",
    free: "Free",
    freeHint: "Let go of what is in memory; the disk keeps it.",
    forget: "Forget",
    forgetHint: "Delete this project's blocks from the disk.",
    sure: "Delete?",
    failed: "The list could not be read; is the server running?",
  },
  zh: {
    empty: "还没有缓存。",
    blocks: "{n} 块",
    states: "{n} 个状态",
    pinned: "固定 {n} 个",
    disk: "磁盘",
    memory: "内存",
    free: "释放",
    freeHint: "释放内存；磁盘上的保留。",
    forget: "删除",
    forgetHint: "从磁盘删除此项目的块。",
    sure: "确定？",
    failed: "无法读取列表；服务器在运行吗？",
  },
};

const STYLE = `
.mg-cache, .mg-report { font: 12px sans-serif; color: var(--input-text, #ddd); overflow-y: auto; }
.mg-cache { box-sizing: border-box; height: 100%; }
.mg-cache ul { list-style: none; margin: 0; padding: 0; }
.mg-cache li { display: grid; grid-template-columns: 64px 1fr auto; gap: 2px 8px; align-items: center; padding: 4px;
  border-bottom: 1px solid var(--border-color, #555); }
.mg-cache img { width: 64px; height: 36px; object-fit: cover; background: #0004; grid-row: span 2; }
.mg-cache b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mg-cache small { grid-column: 2; opacity: 0.85; }
.mg-cache span { grid-row: 1 / span 2; grid-column: 3; display: flex; flex-direction: column; gap: 3px; }
.mg-cache button { font: inherit; color: inherit; background: var(--comfy-input-bg, #333); border-radius: 4px;
  border: 1px solid var(--border-color, #555); padding: 2px 6px; cursor: pointer; }
.mg-cache button:disabled { opacity: 0.4; cursor: default; }
.mg-cache button:focus-visible { outline: 2px solid var(--p-primary-color, #6af); }
`;

/** @typedef {{name: string, blocks: number, states: number, pinned: number, bytes: number, memory: number}} Project */

/** @type {Set<CachePanel>} */
const open = new Set();

function words() {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language ?? "en");
  return translatorOf(WORDS.en, { zh: WORDS.zh }, locale);
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

/** A project's row: the same element while the list is read anew, as a click, the focus and a question live in it. */
class Row {
  /** @param {string} name @param {(what: "free" | "forget") => unknown} ask */
  constructor(name, ask) {
    const text = words();
    this.root = document.createElement("li");
    this.picture = document.createElement("img");
    this.picture.alt = "";
    const title = document.createElement("b");
    title.textContent = title.title = name;
    this.about = document.createElement("small");
    this.free = this.button(text("free"), text("freeHint"), () => ask("free"));
    this.forget = this.button(text("forget"), text("forgetHint"), () => {
      if (!this.timer) return this.question();
      this.calm();
      return ask("forget");
    });
    /** Until when the next click on Forget deletes. */
    this.timer = 0;
    const buttons = document.createElement("span");
    buttons.append(this.free, this.forget);
    this.root.append(this.picture, title, buttons, this.about);
  }

  question() {
    this.forget.textContent = words()("sure");
    this.timer = window.setTimeout(() => this.calm(), SURE_MS);
  }

  calm() {
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.forget.textContent = words()("forget");
  }

  /** @param {Project} project */
  show(project) {
    const text = words();
    const picture = api.apiURL(`${ROUTE}/${encodeURIComponent(project.name)}/thumbnail?${project.bytes}`);
    if (this.picture.getAttribute("src") !== picture) this.picture.src = picture;
    const counts = [text("blocks", { n: project.blocks }), text("states", { n: project.states })];
    if (project.pinned) counts.push(text("pinned", { n: project.pinned }));
    this.about.textContent = [
      ...counts,
      `${size(project.bytes)} ${text("disk")}`,
      `${size(project.memory)} ${text("memory")}`,
    ].join(" · ");
    this.free.disabled = !project.memory;
  }

  /** @param {string} label @param {string} hint @param {() => unknown} act */
  button(label, hint, act) {
    const button = document.createElement("button");
    button.textContent = label;
    button.title = hint;
    button.addEventListener("click", act);
    return button;
  }
}

class CachePanel {
  constructor() {
    this.root = document.createElement("div");
    this.root.className = "mg-cache";
    this.root.addEventListener("wheel", (event) => event.stopPropagation());
    this.list = document.createElement("ul");
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.refresh();
  }

  async refresh() {
    const text = words();
    try {
      const answer = await api.fetchApi(ROUTE);
      const { projects } = await answer.json();
      this.show(projects);
    } catch {
      this.root.textContent = text("failed");
    }
  }

  /** @param {Project[]} projects */
  show(projects) {
    const names = new Set(projects.map((project) => project.name));
    for (const [name, row] of this.rows) {
      if (names.has(name)) continue;
      row.calm();
      row.root.remove();
      this.rows.delete(name);
    }
    for (const [index, project] of projects.entries()) {
      const row = this.rows.get(project.name) ?? new Row(project.name, (what) => this.ask(project.name, what));
      this.rows.set(project.name, row);
      row.show(project);
      const there = this.list.children[index] ?? null;
      if (there !== row.root) this.list.insertBefore(row.root, there);
    }
    if (!projects.length) this.root.textContent = words()("empty");
    else if (this.list.parentNode !== this.root) this.root.replaceChildren(this.list);
  }

  /** @param {string} name of a project @param {"free" | "forget"} what */
  async ask(name, what) {
    await api.fetchApi(`${ROUTE}/${encodeURIComponent(name)}/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "{}",
    });
    for (const panel of open) panel.refresh();
  }
}

/** @param {any} node */
function addPanel(node) {
  const panel = new CachePanel();
  open.add(panel);
  addElement(
    node,
    "projects",
    "MATRIXGAME_CACHE_PANEL",
    panel.root,
    { serialize: false, margin: 10, getMinHeight: () => 120 },
    () => open.delete(panel),
  );
}

/** Show on Roll Out what it took from a cache, once it has one. @param {any} node */
function showReport(node) {
  /** @type {HTMLElement | null} */
  let report = null;
  const line = document.createElement("div");
  const { onExecuted } = node;
  node.onExecuted = function (/** @type {any} */ output) {
    const result = onExecuted?.apply(this, arguments);
    if (!output?.text) return result;
    if (!report) {
      report = document.createElement("div");
      report.className = "mg-report";
      report.setAttribute("role", "status");
      report.append(line);
      const { least, most, margin } = REPORT;
      const getMinHeight = () => 2 * margin + Math.min(most, Math.max(least, line.offsetHeight));
      addElement(node, "report", "MATRIXGAME_REPORT", report, { serialize: false, margin, getMinHeight });
    }
    line.textContent = [output.text].flat().join(" ");
    const least = node.computeSize?.()[1] ?? 0;
    if (node.size[1] < least) node.setSize([node.size[0], least]);
    return result;
  };
}

app.registerExtension({
  name: "MatrixGame.CachePanel",
  setup() {
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
    for (const event of ["execution_success", "execution_error", "execution_interrupted"]) {
      api.addEventListener(event, () => open.forEach((panel) => panel.refresh()));
    }
  },
  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
    if (node.comfyClass === ROLL_OUT) showReport(node);
  },
});
