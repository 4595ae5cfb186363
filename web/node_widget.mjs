// @ts-check
/**
 * What this pack puts into nodes: an element each, added in one place. It keeps its size whatever the properties panel
 * wants, is not shown a second time there, and is seen again after an undo of the graph.
 */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";

const LOOK_MS = 250;
const OURS = "data-matrixgame";
const ROW = ".lg-node-widget"; // of a widget, where nodes are elements

/** Widgets in nodes of an open graph. @type {Set<{node: any, widget: any}>} */
const shown = new Set();
/**
 * Elements of widgets that are gone, by node and name, as long as a node may still hold them.
 * @type {Map<string, HTMLElement>}
 */
const left = new Map();

/**
 * Add an element to a node, as `addDOMWidget` does.
 * @param {any} node @param {string} name @param {string} type @param {HTMLElement} element
 * @param {Record<string, any>} options
 * @param {() => void} [removed] called when the widget is gone for good
 * @returns {any} the widget
 */
export function addElement(node, name, type, element, options, removed) {
  element.setAttribute(OURS, name);
  const widget = node.addDOMWidget(name, type, element, {
    hideOnZoom: false,
    margin: 6,
    hideInPanel: true,
    ...options,
  });
  if (options.serialize === false) widget.serialize = false;
  // The properties panel sets its own width on widgets that it does not know, and the canvas would draw them so narrow.
  Object.defineProperty(widget, "width", { get: () => undefined, set: () => {}, configurable: true });
  const entry = { node, widget };
  shown.add(entry);
  const { onRemove } = widget;
  widget.onRemove = function () {
    shown.delete(entry);
    left.set(placeOf(entry), element);
    removed?.();
    return onRemove?.apply(this, arguments);
  };
  return widget;
}

/** @param {{node: any, widget: any}} entry */
const placeOf = ({ node, widget }) => `${node.id}/${widget.name}`;

/**
 * An undo makes all nodes anew, with the ids they had. One of the renderers then goes on showing what it has: the
 * element of the node that is gone. Put the one of the living node in its place.
 */
export function showLiving() {
  for (const entry of shown) {
    const { element } = entry.widget;
    const stale = left.get(placeOf(entry));
    if (
      stale &&
      stale !== element &&
      stale.isConnected &&
      !element.isConnected &&
      entry.node.graph === app.canvas.graph
    )
      stale.replaceWith(element);
  }
  for (const [place, element] of left) if (!element.isConnected) left.delete(place);
}

/**
 * What the input is for is said at its socket, and must not open over whatever the mouse does in here. What opens it
 * listens on the elements around ours. @param {Event} event
 */
function keepQuiet(event) {
  const { target } = event;
  const dragging = event instanceof PointerEvent && event.buttons !== 0;
  if (dragging || !(target instanceof Element) || !target.closest(ROW)) return;
  if (target.querySelector(`[${OURS}]`)) event.stopImmediatePropagation();
}

app.registerExtension({
  name: "MatrixGame.Elements",
  afterConfigureGraph: showLiving,
  setup() {
    window.setInterval(() => left.size && showLiving(), LOOK_MS);
    for (const kind of ["mouseenter", "pointerenter", "pointermove"]) window.addEventListener(kind, keepQuiet, true);
  },
});
