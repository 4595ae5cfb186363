// @ts-check
/**
 * The heads-up display over the picture: a key gets a ring at once when it is pressed, and is filled when the frame on
 * screen was made with it. The stick shows the camera of that frame, and as a ring the one that is asked for; nothing
 * adds up over time.
 */
import { heldControls } from "../../model/variants.mjs";
import { STICK, placeOf } from "../../timeline/parts/pad.mjs";
import { element, update } from "../../timeline/view/style.mjs";

const SVG = "http://www.w3.org/2000/svg";

export class Hud {
  /** @param {import("../../model/variants.mjs").Variant} variant @param {(lane: string) => string} name */
  constructor(variant, name) {
    /** @type {Map<string, HTMLElement>} */
    this.caps = new Map(
      heldControls(variant).map((key) => [
        key.name,
        element("div", { class: "mgp-cap", "data-lane": key.name, style: placeOf(key) }),
      ]),
    );
    this.name = name;
    this.label();
    this.root = element(
      "div",
      { class: `mgp-hud${variant.exclusive ? " mgp-wide" : ""}`, "aria-hidden": "true" },
      element("div", { class: "mgp-caps" }, ...this.caps.values()),
    );
    /** The camera value at the stick's rim. */
    this.full = STICK * variant.camera.speed;
    if (!variant.mouse) return;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "-1.2 -1.2 2.4 2.4");
    svg.setAttribute("class", "mgp-stick");
    svg.innerHTML =
      '<circle class="mgp-rim" r="1"/><path class="mgp-cross" d="M-1 0H1M0-1V1"/>' +
      '<line class="mgp-line"/><circle class="mgp-dot" r="0.2"/>' +
      '<circle class="mgp-asked" r="0.27" visibility="hidden"/>';
    this.svg = svg;
    this.root.append(svg);
  }

  /** Write what the keys are called. */
  label() {
    for (const [lane, cap] of this.caps) {
      const text = this.name(lane);
      update(cap, { text });
      cap.classList.toggle("mgp-long", text.length > 3);
    }
  }

  /** What is held now. @param {import("../input/held_inputs.mjs").PlayerInputs} inputs */
  echo(inputs) {
    const { keys, camera } = inputs.read(inputs.held);
    for (const [lane, cap] of this.caps) cap.classList.toggle("mgp-held", keys.includes(lane));
    const [pitch, yaw] = [camera.pitch + inputs.pad.pitch, camera.yaw + inputs.pad.yaw];
    this.place(".mgp-asked", pitch, yaw)?.setAttribute("visibility", pitch || yaw ? "visible" : "hidden");
  }

  /** Put a part of the stick where the camera stands. @param {string} part @param {number} pitch @param {number} yaw */
  place(part, pitch, yaw) {
    const found = this.svg?.querySelector(part);
    const [x, y] = [yaw, -pitch].map((value) => String(Math.max(-1, Math.min(1, value / this.full))));
    for (const [name, value] of Object.entries(part === "line" ? { x2: x, y2: y } : { cx: x, cy: y }))
      found?.setAttribute(name, value);
    return found;
  }

  /**
   * What the frame on screen was made with.
   * @param {string[]} keys @param {[number, number] | null} camera pitch and yaw
   */
  show(keys, camera) {
    for (const [lane, cap] of this.caps) cap.classList.toggle("mgp-made", keys.includes(lane));
    if (!this.svg || !camera) return;
    const [pitch, yaw] = camera;
    for (const part of ["line", ".mgp-dot"]) this.place(part, pitch, yaw);
    this.svg.classList.toggle("mgp-clamped", Math.max(Math.abs(yaw), Math.abs(pitch)) >= this.full);
  }
}
