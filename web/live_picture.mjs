// @ts-check
/** Pictures between a player and the graph around its node: into a Load Image node, and back from images it made. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";

const LOADER = "LoadImage";
const GAP = 40; // between the node and one that is made for it
const PICTURES = /\.(png|jpe?g|webp|avif|bmp|gif|tiff?)$/i; // what nodes call images may also be films

/**
 * The newest picture of the graph, as the host names it.
 * @type {{filename: string, subfolder: string, type: string} | null}
 */
let newest = null;

/** Remember what nodes make from now on. */
export function watchPictures() {
  api.addEventListener("executed", (/** @type {any} */ { detail }) => {
    const images = /** @type {any[]} */ (detail?.output?.images ?? []);
    newest = images.filter((image) => PICTURES.test(image?.filename)).at(-1) ?? newest;
  });
}

/**
 * What the graph around a node can do with pictures.
 * @param {any} node @param {(name: string, values?: Record<string, any>) => string} words
 * @returns {import("./player/change/panel.mjs").Graph}
 */
export function graphAround(node, words) {
  return {
    async send(picture) {
      const body = new FormData();
      const name = `matrixgame_${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}.png`;
      body.append("image", new File([picture], name, { type: "image/png" }));
      body.append("type", "input");
      const answer = await api.fetchApi("/upload/image", { method: "POST", body });
      if (!answer.ok) return words("change.refused", { why: await reason(answer) });
      const kept = await answer.json();
      const path = kept.subfolder ? `${kept.subfolder}/${kept.name}` : kept.name;
      const loader = selectedLoader() ?? newLoader(node);
      load(loader, path);
      return words("change.sent", { node: loader.title ?? LOADER, name: path });
    },
    async fetch() {
      if (!newest) return words("change.nothing");
      const { filename, subfolder = "", type = "output" } = newest;
      const answer = await api.fetchApi(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
      return answer.ok ? answer.blob() : words("change.refused", { why: await reason(answer) });
    },
  };
}

/** @param {Response} answer */
const reason = async (answer) => (await answer.text()).slice(0, 200) || `${answer.status} ${answer.statusText}`;

/** The Load Image node that is selected. */
function selectedLoader() {
  const selected = /** @type {any[]} */ (Object.values(app.canvas.selected_nodes ?? {}));
  return selected.find((each) => each.comfyClass === LOADER);
}

/** A Load Image node at the left of a node. @param {any} node */
function newLoader(node) {
  const made = /** @type {any} */ (window).LiteGraph.createNode(LOADER);
  node.graph.add(made);
  made.pos = [node.pos[0] - made.size[0] - GAP, node.pos[1]];
  return made;
}

/** Have a Load Image node load a file of the input folder. @param {any} loader @param {string} path */
function load(loader, path) {
  const widget = loader.widgets.find((/** @type {any} */ each) => each.name === "image");
  const values = widget.options?.values;
  if (Array.isArray(values) && !values.includes(path)) values.push(path);
  widget.value = path;
  widget.callback?.(path); // which shows it
  loader.graph.setDirtyCanvas(true, true);
}
