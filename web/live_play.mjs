// @ts-check
/** The player in its node: it comes when the node runs and says so, and goes with the node. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { Player } from "./player/player.mjs";
import { saveFile } from "./player/save.mjs";
import { translator } from "./player/words.mjs";
import { element } from "./timeline/style.mjs";

const NODE = "MatrixGameLivePlay";
const MIN_HEIGHT = 300;

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
  queueMicrotask(() => node.setSize?.([Math.max(node.size[0], 520), Math.max(node.size[1], 480)]));
  node.matrixGamePlay = place;
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
      if (node) node.properties.matrixgame_take = detail.timeline; // saved with the workflow: no take is lost
    });
  },
});
