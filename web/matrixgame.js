// @ts-check
/** ComfyUI's side of the timeline: the only file here that knows the frontend. Everything else is under timeline/. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { translator } from "./timeline/i18n.mjs";
import { TimelineWidget } from "./timeline/widget.mjs";

const TYPE = "MATRIXGAME_TIMELINE";
const SCALE_MS = 250; // how often the graph's zoom is looked at
const CAPTURE_MS = 300; // after the last edit, the workflow's own record of changes is brought up to date

/** @type {Set<TimelineWidget>} */
const open = new Set();
const SENT = 8; // timelines that are remembered until their run has ended

/** Timelines that may have been sent, by the text they were sent as. @type {WeakMap<TimelineWidget, Map<string, any>>} */
const sent = new WeakMap();

const locale = () => String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language ?? "en");

let capture = 0;
/** An edit with the keyboard moves no mouse, which is what the frontend waits for to see that the workflow changed. */
function captureSoon() {
  window.clearTimeout(capture);
  capture = window.setTimeout(() => app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.(), CAPTURE_MS);
}

/** @param {any} node */
const variantInput = (node) => node.widgets?.find((/** @type {any} */ w) => w.name === "variant");

/**
 * @param {any} node @param {string} name @param {any} inputData
 */
function makeWidget(node, name, inputData) {
  const given = inputData?.[1]?.default ?? "";
  /** @type {any} */
  let widget = null;
  const timeline = new TimelineWidget({
    variant: () => variantInput(node)?.value ?? null,
    words: translator(locale()),
    changed: () => {
      widget?.callback?.(timeline.value);
      node.graph?.setDirtyCanvas?.(true, true);
      captureSoon();
    },
    setVariant: (variant) => {
      const input = variantInput(node);
      if (!input) return;
      input.value = variant;
      input.callback?.(variant, app.canvas, node);
    },
    wheelToGraph: (event) => {
      event.preventDefault();
      event.stopPropagation();
      app.canvas.processMouseWheel(event);
    },
    pointerToGraph: (event) => app.canvas.processMouseDown?.(event),
    resized: () => growNode(node, widget),
  });
  if (given) timeline.value = given;
  timeline.editor.untouched = timeline.editor.doc;
  widget = node.addDOMWidget(name, TYPE, timeline.root, {
    getValue: () => timeline.value,
    setValue: (/** @type {string} */ text) => (timeline.value = text),
    getMinHeight: () => timeline.minHeight,
    hideOnZoom: false,
    margin: 6,
  });
  widget.serializeValue = () => {
    if (timeline.editor.editable && !timeline.editor.scriptError) remember(timeline);
    return timeline.sent;
  };
  widget.timeline = timeline;
  follow(node, widget, timeline);
  return { widget };
}

/** @param {TimelineWidget} timeline */
function remember(timeline) {
  const known = sent.get(timeline) ?? new Map();
  sent.set(timeline, known);
  known.delete(timeline.sent);
  known.set(timeline.sent, timeline.editor.doc);
  if (known.size > SENT) known.delete(known.keys().next().value);
}

/** A run has ended: what it was given is what its timelines have rendered. @param {string} id of the prompt */
async function markRendered(id) {
  const answer = await api.fetchApi(`/history/${id}`);
  const nodes = Object.values((await answer.json())[id]?.prompt?.[2] ?? {});
  const texts = new Set(nodes.flatMap((/** @type {any} */ node) => Object.values(node.inputs ?? {}).filter((v) => typeof v === "string")));
  for (const timeline of open) {
    for (const [text, doc] of sent.get(timeline) ?? []) if (texts.has(text)) timeline.rendered(doc);
  }
}

/** Keep a node at least as high as its timeline needs. @param {any} node @param {any} widget */
function growNode(node, widget) {
  if (!widget || !node.size || node.flags?.collapsed) return;
  const least = node.computeSize?.() ?? [0, 0];
  if (node.size[1] < least[1]) node.setSize([node.size[0], least[1]]);
}

/** Watch what belongs to the node. @param {any} node @param {any} widget @param {TimelineWidget} timeline */
function follow(node, widget, timeline) {
  open.add(timeline);
  const { onRemove } = widget;
  widget.onRemove = function () {
    open.delete(timeline);
    timeline.dispose();
    return onRemove?.apply(this, arguments);
  };
  queueMicrotask(() => {
    const input = variantInput(node);
    if (!input) return;
    const { callback } = input;
    input.callback = function (/** @type {string} */ value) {
      const result = callback?.apply(this, arguments);
      timeline.setVariant(String(value ?? input.value));
      return result;
    };
    timeline.setVariant(String(input.value));
    if (node.size) node.setSize([Math.max(node.size[0], 560), node.size[1]]);
  });
  const { onConfigure } = node;
  node.onConfigure = function () {
    const result = onConfigure?.apply(this, arguments);
    timeline.setVariant(String(variantInput(node)?.value ?? "universal"));
    return result;
  };
}

app.registerExtension({
  name: "MatrixGame.Timeline",
  getCustomWidgets: () => ({ [TYPE]: makeWidget }),
  setup() {
    window.setInterval(() => {
      for (const timeline of open) timeline.checkScale();
    }, SCALE_MS);
    api.addEventListener("execution_success", (/** @type {any} */ event) => {
      // Only colours a strip: a server that keeps no history leaves it as it is.
      markRendered(event.detail.prompt_id).catch(() => {});
    });
  },
});
