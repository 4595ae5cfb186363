// @ts-check
/** Where a take goes when its session ends: the timeline it belongs to, found in the graph or made beside the node. */
import { writeDocument } from "../model/document.mjs";
import { withTake } from "./branch.mjs";

const GAP = 40; // between the node and a timeline made for it
const TITLE = 30; // above a node's place
const LEAST = [560, 460]; // of a timeline's node
const REMEMBERED = "matrixgame_timeline"; // the node's property that names the timeline its takes go to

/**
 * The node of an id such as `7`, or `12:7` for one in a subgraph.
 * @param {any} graph the outermost @param {string} id @returns {any}
 */
export function findNode(graph, id) {
  let node = null;
  for (const part of id.split(":")) {
    node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part));
    graph = node?.subgraph;
  }
  return node;
}

/**
 * Put a take into a timeline, as a branch that is in use: into the one where the node's takes went before, else into
 * one that plays in the same world, else into the only one there is, else into a new one beside the node.
 * @param {any} node @param {any} take @param {(graph: any) => any} makeNode a new timeline node in a graph
 * @returns {{owner: any, name: string}} the timeline's node, and what the take is called there
 */
export function land(node, take, makeNode) {
  const [owner, widget] = timelineFor(node, take) ?? makeTimeline(node, take, makeNode);
  const { editor } = widget.timeline;
  const fresh = editor.untouched !== null && writeDocument(editor.doc) === writeDocument(editor.untouched);
  editor.apply((/** @type {any} */ doc) => withTake(doc, take, fresh));
  node.properties[REMEMBERED] = owner.id;
  const { active, branches } = editor.doc;
  return { owner, name: branches.find((/** @type {any} */ branch) => branch.id === active).name };
}

/**
 * Nodes of a graph with a timeline that a take fits and that can be edited.
 * @param {any} graph @param {any} take @returns {[any, any][]}
 */
function timelines(graph, take) {
  const nodes = /** @type {any[]} */ (graph?._nodes ?? []);
  const pairs = nodes.flatMap((node) =>
    (node.widgets ?? []).map((/** @type {any} */ widget) => /** @type {[any, any]} */ ([node, widget])),
  );
  return pairs.filter(([, { timeline }]) => timeline?.editor.editable && timeline.editor.doc.variant === take.variant);
}

/** @param {any} node @param {any} take @returns {[any, any] | null} */
function timelineFor(node, take) {
  const all = timelines(node.graph, take);
  const remembered = all.find(([owner]) => owner.id === node.properties[REMEMBERED]);
  const played = all.find(([owner]) => playsIn(owner, originOf(node, "world")));
  return remembered ?? played ?? (all.length === 1 ? all[0] : null);
}

/**
 * Whether a timeline's inputs are played in the world that comes out at `origin`.
 * @param {any} owner @param {string | null} origin
 */
function playsIn(owner, origin) {
  const links = (owner.outputs ?? []).flatMap((/** @type {any} */ output) => output.links ?? []);
  const targets = links.map((/** @type {any} */ id) => owner.graph.getNodeById(linkOf(owner.graph, id)?.target_id));
  return origin !== null && targets.some((/** @type {any} */ target) => target && originOf(target, "world") === origin);
}

/**
 * What is connected to an input: `node/slot`, or null.
 * @param {any} node @param {string} name @returns {string | null}
 */
function originOf(node, name) {
  const link = linkOf(node.graph, node.inputs?.find((/** @type {any} */ input) => input.name === name)?.link);
  return link ? `${link.origin_id}/${link.origin_slot}` : null;
}

/** @param {any} graph @param {any} id */
function linkOf(graph, id) {
  return id === undefined || id === null ? null : (graph.getLink?.(id) ?? graph.links?.[id]);
}

/**
 * A place at the right of a node where a new one covers no other: as high as the node, or below what is there.
 * @param {any} node @param {any} made @returns {[number, number]}
 */
function freePlace(node, made) {
  const [width, height] = [Math.max(made.size?.[0] ?? 0, LEAST[0]), Math.max(made.size?.[1] ?? 0, LEAST[1])];
  const x = node.pos[0] + node.size[0] + GAP;
  const others = /** @type {any[]} */ (node.graph._nodes ?? []).filter(
    (each) => each !== made && each !== node && each.pos[0] < x + width + GAP && each.pos[0] + each.size[0] + GAP > x,
  );
  let y = node.pos[1];
  for (const other of others.sort((one, two) => one.pos[1] - two.pos[1])) {
    const covers = other.pos[1] - TITLE < y + height + GAP && other.pos[1] + other.size[1] + GAP > y - TITLE;
    if (covers) y = other.pos[1] + other.size[1] + GAP + TITLE;
  }
  return [x, y];
}

/** @param {any} node @param {any} take @param {(graph: any) => any} makeNode @returns {[any, any]} */
function makeTimeline(node, take, makeNode) {
  const made = makeNode(node.graph);
  made.pos = freePlace(node, made);
  const variant = made.widgets.find((/** @type {any} */ one) => one.name === "variant");
  variant.value = take.variant;
  variant.callback?.(take.variant);
  const widget = made.widgets.find((/** @type {any} */ one) => one.timeline);
  widget.timeline.setVariant(take.variant);
  return [made, widget];
}
