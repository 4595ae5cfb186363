// @ts-check
/** The timeline's widget on its node. The editor itself, under timeline/, does not know the frontend. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import "./doctor.mjs";
import "./live_play.mjs";
import "./seed_gallery.mjs";
import { defaultVariant } from "./model/variants.mjs";
import { addElement } from "./node_widget.mjs";
import { nameOptions } from "./option_names.mjs";
import { serverFiles } from "./server_files.mjs";
import { learnVariants } from "./server_variants.mjs";
import { translator } from "./timeline/parts/i18n.mjs";
import { TimelineWidget } from "./timeline/widget.mjs";

const TYPE = "MATRIXGAME_TIMELINE";
const SCALE_MS = 250; // how often the graph's zoom, and values that others keep, are looked at
const CAPTURE_MS = 300; // after the last edit, the workflow's own record of changes is brought up to date

/** @type {Set<TimelineWidget>} */
const open = new Set();
const LOOKS = "matrixgame.timeline.pictures"; // where the browser keeps how its user looks at them
const RECORDING = "matrixgame.timeline.recording"; // how it begins
const PRESETS = "matrixgame.timeline.presets"; // and the presets that were saved
const SENT = 8; // timelines that are remembered until their run has ended

/**
 * Timelines that may have been sent, by the text they were sent as.
 * @type {WeakMap<TimelineWidget, Map<string, any>>}
 */
const sent = new WeakMap();

const locale = () => String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language ?? "en");

let capture = 0;
/** An edit with the keyboard moves no mouse, which is what the frontend waits for to see that the workflow changed. */
function captureSoon() {
  window.clearTimeout(capture);
  capture = window.setTimeout(
    () => app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.(),
    CAPTURE_MS,
  );
}

/**
 * What the browser keeps under a name; it may forbid to keep anything.
 * @template T @param {string} name @param {T} initial
 */
function storeOf(name, initial) {
  return {
    read: () => {
      try {
        return /** @type {T} */ (JSON.parse(window.localStorage.getItem(name) ?? "null") ?? initial);
      } catch {
        return initial;
      }
    },
    write: (/** @type {any} */ value) => {
      try {
        window.localStorage.setItem(name, JSON.stringify(value));
      } catch {
        return; // full, or forbidden: it is as it was at the next visit
      }
    },
  };
}

/** @param {any} node */
const variantInput = (node) => node.widgets?.find((/** @type {any} */ w) => w.name === "variant");

/**
 * A timeline whose variant is that of a widget.
 * @param {any} node that it is on @param {() => any} input the widget @param {() => void} changed
 * @param {(by?: number) => void} resized
 */
function timelineOf(node, input, changed, resized) {
  return new TimelineWidget({
    variant: () => input()?.value ?? null,
    words: translator(locale()),
    changed: () => {
      changed();
      captureSoon();
    },
    setVariant: (variant) => {
      const widget = input();
      if (!widget) return;
      widget.value = variant;
      widget.callback?.(variant, app.canvas, widget.node);
    },
    wheelToGraph: (event) => {
      event.preventDefault();
      event.stopPropagation();
      app.canvas.processMouseWheel(event);
    },
    pointerToGraph: (event) => app.canvas.processMouseDown?.(event),
    resized,
    settings: storeOf(LOOKS, {}),
    presets: storeOf(PRESETS, []),
    recording: storeOf(RECORDING, {}),
    players: () => (node.graph?._nodes ?? []).flatMap((/** @type {any} */ each) => each.matrixGamePlay?.root ?? []),
    files: serverFiles,
  });
}

/**
 * The widget of a timeline on a node. @param {any} node @param {string} name @param {TimelineWidget} timeline
 * @param {() => string} getValue @param {(text: string) => void} setValue
 */
function addTimeline(node, name, timeline, getValue, setValue) {
  const widget = addElement(
    node,
    name,
    TYPE,
    timeline.root,
    { getValue, setValue, getMinHeight: () => timeline.minHeight },
    () => {
      open.delete(timeline);
      timeline.dispose();
    },
  );
  widget.timeline = timeline;
  open.add(timeline);
  return widget;
}

/**
 * @param {any} node @param {string} name @param {any} inputData
 */
function makeWidget(node, name, inputData) {
  const initial = inputData?.[1]?.default ?? "";
  /** @type {any} */
  let widget = null;
  const changed = () => {
    widget?.callback?.(timeline.value);
    node.graph?.setDirtyCanvas?.(true, true);
  };
  const timeline = timelineOf(
    node,
    () => variantInput(node),
    changed,
    (by) => growNode(node, widget, by),
  );
  if (initial) timeline.value = initial;
  timeline.editor.untouched = timeline.editor.doc;
  widget = addTimeline(
    node,
    name,
    timeline,
    () => timeline.value,
    (text) => (timeline.value = text),
  );
  widget.serializeValue = () => {
    remember(timeline);
    return timeline.sent;
  };
  follow(node, timeline);
  return { widget };
}

/**
 * Let a subgraph's node show the editor where the timeline of a node inside is promoted to it. Without the method that
 * is replaced here a frontend shows nothing there, and the value is still carried.
 * @param {any} host
 */
function showPromoted(host) {
  const { createPromotedHostWidget: usual } = host;
  if (typeof usual !== "function" || typeof host._projectPromotedWidget !== "function") return;
  host.createPromotedHostWidget = function (
    /** @type {any} */ input,
    /** @type {any} */ id,
    /** @type {any} */ source,
  ) {
    const settled = host.graph?.getNodeById(host.id) === host;
    return settled && source?.type === TYPE ? promotedWidget(host, input, source) : usual.call(this, input, id, source);
  };
}

/**
 * The editor of a timeline inside a subgraph, on the subgraph's node. The frontend keeps the value, and tells nobody
 * when it changes: `sync` looks. @param {any} host @param {any} input @param {any} source the widget inside
 */
function promotedWidget(host, input, source) {
  const kept = host._projectPromotedWidget(input);
  const variant = () => variantFor(host, source.node);
  // What the frontend keeps, as last seen. A gesture shows what it does not keep yet, and must not be set back.
  let stored = "";
  const keep = (/** @type {string} */ text) => (kept.value = stored = text);
  const timeline = timelineOf(
    host,
    variant,
    () => keep(timeline.value),
    (by) => growNode(host, widget, by),
  );
  const { onAdded, onRemoved, onResize } = host;
  // It stands for the promoted input: it must not be a widget of its own as well, nor outlive the input.
  host.addCustomWidget = (/** @type {any} */ made) => made;
  const widget = addTimeline(
    host,
    input.name,
    timeline,
    () => kept.value,
    (text) => {
      keep(text);
      timeline.value = text;
    },
  );
  widget.inner = source.node?.id; // of the node that runs
  delete host.addCustomWidget;
  Object.assign(host, { onAdded, onRemoved, onResize });
  let seen = "";
  timeline.sync = () => {
    const text = String(kept.value ?? "");
    if (text !== stored) timeline.value = stored = text;
    const now = String(variant()?.value ?? "");
    if (now !== seen) timeline.setVariant((seen = now));
  };
  timeline.sync();
  return widget;
}

/**
 * The widget that sets the variant of a node in a subgraph: its own, or the one it is promoted to.
 * @param {any} host @param {any} node
 */
function variantFor(host, node) {
  const slot = node?.inputs?.find((/** @type {any} */ each) => each.widget?.name === "variant");
  const link = slot?.link == null ? null : node.graph?.getLink?.(slot.link);
  const outer = link && host.inputs?.find((/** @type {any} */ each) => each._subgraphSlot?.linkIds?.includes(link.id));
  return outer?._widget ?? variantInput(node ?? {});
}

/** A timeline is being sent: what it says now may come back as rendered. @param {TimelineWidget} timeline */
function remember(timeline) {
  if (!timeline.editor.editable || timeline.editor.scriptError) return;
  const runs = sent.get(timeline) ?? new Map();
  sent.set(timeline, runs);
  runs.delete(timeline.sent);
  runs.set(timeline.sent, timeline.editor.doc);
  if (runs.size > SENT) runs.delete(runs.keys().next().value);
}

/** A run has succeeded: what it was sent is what its timelines have rendered. @param {string} id of the prompt */
async function markRendered(id) {
  const answer = await api.fetchApi(`/history/${id}`);
  const nodes = Object.values((await answer.json())[id]?.prompt?.[2] ?? {});
  const texts = new Set(
    nodes.flatMap((/** @type {any} */ node) => Object.values(node.inputs ?? {}).filter((v) => typeof v === "string")),
  );
  for (const timeline of open) {
    for (const [text, doc] of sent.get(timeline) ?? []) if (texts.has(text)) timeline.rendered(doc);
  }
}

/**
 * Keep a node at least as high as its timeline needs.
 * @param {any} node @param {any} widget @param {number} [by] so much higher, or lower, on the user's word
 */
function growNode(node, widget, by = 0) {
  if (!widget || !node.size || node.flags?.collapsed) return;
  const least = node.computeSize?.() ?? [0, 0];
  const height = Math.max(node.size[1] + by, least[1]);
  if (node.size[1] !== height) node.setSize([node.size[0], height]);
}

/** Watch what belongs to the node. @param {any} node @param {TimelineWidget} timeline */
function follow(node, timeline) {
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
    timeline.setVariant(String(variantInput(node)?.value ?? defaultVariant().name));
    return result;
  };
}

app.registerExtension({
  name: "MatrixGame.Timeline",
  init: learnVariants, // before the page opens a workflow
  refreshComboInNodes: learnVariants,
  getCustomWidgets: () => ({ [TYPE]: makeWidget }),
  nodeCreated: (/** @type {any} */ node) => {
    if (node.isSubgraphNode?.()) showPromoted(node);
    if (node.comfyClass?.startsWith("MatrixGame")) nameOptions(node, locale());
  },
  setup() {
    window.setInterval(() => {
      for (const timeline of open) {
        timeline.sync?.();
        timeline.checkScale();
      }
    }, SCALE_MS);
    // Of a timeline on a subgraph's node the frontend sends what it keeps, without a word to the widget.
    api.addEventListener("promptQueued", () => {
      for (const timeline of open) if (timeline.sync) remember(timeline);
    });
    /** @type {Set<string>} */
    const succeeded = new Set();
    api.addEventListener("execution_success", (/** @type {any} */ event) => succeeded.add(event.detail.prompt_id));
    api.addEventListener("executing", (/** @type {any} */ event) => {
      if (event.detail) return;
      // Only now, when nothing runs any more, has the history what was run. It only colours a strip: a server that
      // keeps no history leaves it as it is.
      for (const id of succeeded) markRendered(id).catch(() => {});
      succeeded.clear();
    });
  },
});
