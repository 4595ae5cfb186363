// @ts-check
/** The player in its node: it comes when the node runs and says so, and goes with the node. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { graphAround, watchPictures } from "./live_picture.mjs";
import { addElement } from "./node_widget.mjs";
import { findNode, land } from "./player/landing.mjs";
import { Player } from "./player/player.mjs";
import { translator } from "./player/view/words.mjs";
import { element } from "./timeline/view/style.mjs";

const NODE = "MatrixGameLivePlay";
const TIMELINE_NODE = "MatrixGameActionTimeline";
const MIN_HEIGHT = 380;
const PLACE = [
  "height: 100%; min-height: 0; display: flex; align-items: center; justify-content: center; box-sizing: border-box",
  "overflow: hidden; border-radius: 8px; background: #000; color: #ccc",
  "font: 13px system-ui, sans-serif; text-align: center",
].join("; ");
const SESSION = "matrixgame.play"; // where this tab remembers its session, also when it is loaded again
// the node's property with the token of its session: other workflows have nodes of the same id
const PLAYED = "matrixgame_session";

/** The places of players, by node. @type {Map<string, Place>} */
const places = new Map();
const locale = () => app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en";

/** Where the player of a node is. */
class Place {
  /** @param {any} node */
  constructor(node) {
    this.node = node;
    this.words = translator(locale());
    this.token = ""; // of the session
    this.root = element("div", { style: PLACE });
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
    this.token = token;
    const url = new URL(api.apiURL("/matrixgame/play"), location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const graph = graphAround(this.node, this.words);
    this.player = new Player({ url: url.href, token, locale: locale(), graph });
    this.root.replaceChildren(this.player.root);
  }

  /**
   * The session is over, and its take is in a timeline.
   * @param {any} take @param {string} name of the branch @param {() => void} open
   */
  end(take, name, open) {
    if (!this.player) return;
    const said = this.words("node.landed", { name });
    const button = element(
      "button",
      { class: "mg-button mg-text", type: "button", "data-act": "landed", title: said, onclick: open },
      said,
    );
    this.player.keep(take);
    this.player.controls.root.append(button);
    this.player.say(said);
  }

  dispose() {
    this.player?.dispose();
  }
}

/** @param {any} node */
function addPlace(node) {
  const place = new Place(node);
  addElement(
    node,
    "player",
    "MATRIXGAME_PLAYER",
    place.root,
    { serialize: false, getMinHeight: () => MIN_HEIGHT },
    () => {
      place.dispose();
      for (const [id, other] of places) if (other === place) places.delete(id);
    },
  );
  queueMicrotask(() => node.setSize?.([Math.max(node.size[0], 520), Math.max(node.size[1], 560)]));
  node.matrixGamePlay = place;
}

/** The node with this id, of whatever subgraph. @param {string} id */
const nodeOf = (id) => findNode(app.rootGraph ?? app.graph, id);

/** The place of a node that runs. @param {string} id @returns {Place | undefined} */
function placeOf(id) {
  const place = nodeOf(id)?.matrixGamePlay ?? places.get(id);
  if (place) places.set(id, place);
  return place;
}

/** A session has begun. @param {{node: string | number, token: string}} session */
function begin({ node: id, token }) {
  const node = nodeOf(String(id));
  if (node) node.properties[PLAYED] = token;
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.();
  remember({ node: id, token });
  show(String(id), token);
}

/** @param {string} id of the node @param {string} token */
function show(id, token) {
  const place = placeOf(id);
  if (place && place.token !== token) place.begin(token);
}

/**
 * The session of this tab; where the browser stores nothing, it is known until the page is loaded again.
 * @type {any}
 */
let inMind = null;

/** @param {{node: string | number, token: string} | null} begun */
function remember(begun) {
  inMind = begun;
  try {
    if (begun) sessionStorage.setItem(SESSION, JSON.stringify(begun));
    else sessionStorage.removeItem(SESSION);
  } catch {
    // it may not be stored
  }
}

/** The session of this tab, as it was stored. */
function session() {
  try {
    return JSON.parse(sessionStorage.getItem(SESSION) ?? "null") ?? inMind;
  } catch {
    return inMind;
  }
}

/** Whether a node is the one that a session began in. @param {any} node @param {string} token */
const isOf = (node, token) => node?.comfyClass === NODE && node.properties[PLAYED] === token;

/** An undo of the graph makes the node as it was before its session began: it is told of it again. */
function restored() {
  const { node: id, token } = session() ?? {};
  const node = token && nodeOf(String(id));
  if (node?.comfyClass === NODE && app.extensionManager?.workflow?.activeWorkflow?.changeTracker?._restoringState)
    node.properties[PLAYED] = token;
  return comeBack();
}

/**
 * A session is over: its take goes into a timeline, unless its node is not in the graph that is open now.
 * @param {{node: string | number, timeline: any}} ended
 */
function end({ node: id, timeline }) {
  const node = nodeOf(String(id));
  const token = session()?.token;
  if (!token || !isOf(node, token)) return;
  remember(null);
  delete node.properties[PLAYED];
  node.properties.matrixgame_take = withoutPictures(timeline); // saved with the workflow: no take is lost
  const { owner, name } = land(node, timeline, (graph) => {
    const made = /** @type {any} */ (window).LiteGraph.createNode(TIMELINE_NODE);
    graph.add(made);
    return made;
  });
  node.graph.setDirtyCanvas(true, true);
  node.matrixGamePlay?.end(timeline, name, () => app.canvas.centerOnNode?.(owner));
}

/**
 * A take without the pictures that it was changed to: half a megabyte each is too much for a workflow, and its file and
 * the player's *Save* have them.
 * @param {any} timeline
 */
function withoutPictures(timeline) {
  const { pictures: _, ...take } = timeline.take ?? {};
  return { ...timeline, take };
}

/** A page that was loaded again, or was away, asks what became of its session. */
async function comeBack() {
  const { node: id, token } = session() ?? {};
  if (!token) return;
  const answer = await api.fetchApi("/matrixgame/take", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  const told = answer.ok ? await answer.json() : { state: "unknown" };
  if (session()?.token !== token) return; // it was heard of while we asked
  if (told.state === "playing") {
    if (isOf(nodeOf(String(id)), token)) show(String(id), token);
  } else if (told.state === "over") end(told);
  else remember(null);
}

app.registerExtension({
  name: "MatrixGame.LivePlay",
  nodeCreated: (/** @type {any} */ node) => {
    if (node.comfyClass === NODE) addPlace(node);
  },
  afterConfigureGraph: restored,
  setup() {
    watchPictures();
    api.addEventListener("matrixgame.play", (/** @type {any} */ { detail }) => begin(detail));
    api.addEventListener("matrixgame.take", (/** @type {any} */ { detail }) => end(detail));
    api.addEventListener("reconnected", comeBack);
  },
});
