// @ts-check
/** The player in its node: it comes when the node runs and says so, and goes with the node. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { withTake } from "./player/branch.mjs";
import { Player } from "./player/player.mjs";
import { saveFile } from "./player/save.mjs";
import { translator } from "./player/words.mjs";
import { element } from "./timeline/style.mjs";

const NODE = "MatrixGameLivePlay";
const TIMELINE_NODE = "MatrixGameActionTimeline";
const MIN_HEIGHT = 380;

/** The places of players, by node. @type {Map<string, Place>} */
const places = new Map();
const locale = () => app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en";

/** Where the player of a node is. */
class Place {
  constructor() {
    this.words = translator(locale());
    this.root = element("div", { style: "height: 100%; display: flex; align-items: center; justify-content: center; box-sizing: border-box; min-height: 0; overflow: hidden; border-radius: 8px; background: #000; color: #ccc; font: 13px system-ui, sans-serif; text-align: center" });
    this.root.dataset.captureWheel = "true";
    this.rest();
  }

  /** Say what to do. */
  rest() {
    this.root.replaceChildren(element("span", {}, this.words("node.rest")));
  }

  /** A session has begun. @param {string} token */
  begin(token) {
    this.player?.dispose();
    const url = new URL(api.apiURL("/matrixgame/play"), location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.player = new Player({ url: url.href, token, locale: locale(), onTake: saveFile });
    this.root.replaceChildren(this.player.root);
  }

  /** The session is over, and there is a take. @param {() => void} keep */
  end(keep) {
    const button = element("button", { class: "mg-button mg-text", type: "button", "data-act": "keep" }, this.words("node.keep"));
    button.addEventListener("click", () => {
      keep();
      button.remove();
    });
    this.player?.controls.root.append(button);
  }

  dispose() {
    this.player?.dispose();
  }
}

/** @param {any} node */
function addPlace(node) {
  const place = new Place();
  const widget = node.addDOMWidget("player", "MATRIXGAME_PLAYER", place.root, { serialize: false, getMinHeight: () => MIN_HEIGHT, hideOnZoom: false, margin: 6 });
  widget.serialize = false;
  const { onRemove } = widget;
  widget.onRemove = function () {
    place.dispose();
    if (places.get(String(node.id)) === place) places.delete(String(node.id));
    return onRemove?.apply(this, arguments);
  };
  queueMicrotask(() => node.setSize?.([Math.max(node.size[0], 520), Math.max(node.size[1], 560)]));
  node.matrixGamePlay = place;
}

/** Timelines of the graph that a take fits. @param {any} take */
function timelinesFor(take) {
  const widgets = (app.graph?._nodes ?? []).flatMap((/** @type {any} */ node) => node.widgets ?? []);
  return widgets.filter((/** @type {any} */ widget) => widget.timeline && widget.timeline.editor.doc.variant === take.variant);
}

/**
 * Put a take into the graph's timeline, as a branch; where there is none or more than one, into a new one beside the
 * node. @param {any} node @param {any} take
 */
function keepTake(node, take) {
  const fitting = timelinesFor(take);
  let [widget] = fitting;
  if (fitting.length !== 1) {
    const made = /** @type {any} */ (window).LiteGraph.createNode(TIMELINE_NODE);
    made.pos = [node.pos[0] + node.size[0] + 40, node.pos[1]];
    app.graph.add(made);
    const variant = made.widgets.find((/** @type {any} */ one) => one.name === "variant");
    variant.value = take.variant;
    variant.callback?.(take.variant);
    widget = made.widgets.find((/** @type {any} */ one) => one.timeline);
    widget.value = JSON.stringify(take);
  } else widget.value = withTake(widget.timeline.value, take);
  widget.callback?.(widget.value);
  app.graph.setDirtyCanvas(true, true);
}

/** The place of a node that runs. @param {string} id */
function placeOf(id) {
  const node = app.graph?.getNodeById?.(id) ?? app.graph?.getNodeById?.(Number(id));
  const place = node?.matrixGamePlay ?? places.get(id);
  if (place) places.set(id, place);
  return place;
}

app.registerExtension({
  name: "MatrixGame.LivePlay",
  nodeCreated: (/** @type {any} */ node) => {
    if (node.comfyClass === NODE) addPlace(node);
  },
  setup() {
    api.addEventListener("matrixgame.play", (/** @type {any} */ { detail }) => placeOf(String(detail.node))?.begin(detail.token));
    api.addEventListener("matrixgame.take", (/** @type {any} */ { detail }) => {
      const node = app.graph?.getNodeById?.(detail.node) ?? app.graph?.getNodeById?.(Number(detail.node));
      if (!node) return;
      node.properties.matrixgame_take = detail.timeline; // saved with the workflow: no take is lost
      node.matrixGamePlay?.end(() => keepTake(node, detail.timeline));
    });
  },
});
