// @ts-check
/** Keys and a stick on the glass, for recording with fingers. */
import { heldControls } from "../../model/variants.mjs";
import { codeOf } from "../input/record.mjs";
import { element } from "../view/style.mjs";

/** The usual camera speeds at the rim of a stick. */
export const STICK = 2;

/**
 * Where a key lies in the grid of keys, as a style; the next free place where nothing is said.
 * @param {import("../../model/variants.mjs").Key} key
 */
export const placeOf = ({ pad }) => (pad ? `grid-area: ${pad[0]} / ${pad[1]}` : "");

/**
 * The pad of a variant.
 * @param {import("../../model/variants.mjs").Variant} variant @param {(id: string) => string} name
 * @param {() => import("../input/record.mjs").Take | null} take
 */
export function touchPad(variant, name, take) {
  const keys = heldControls(variant).map((key) => {
    const lane = key.name;
    const button = element(
      "button",
      { class: "mg-key", type: "button", tabindex: "-1", "data-lane": lane, style: placeOf(key) },
      name(lane),
    );
    button.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      button.setPointerCapture(event.pointerId);
      button.classList.add("mg-down");
      take()?.down(codeOf(variant, lane));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      button.addEventListener(end, () => {
        button.classList.remove("mg-down");
        take()?.up(codeOf(variant, lane));
      });
    }
    return button;
  });
  const pad = element("div", { class: "mg-pad" }, element("div", { class: "mg-keys" }, ...keys));
  if (variant.mouse) pad.append(lookStick(variant, take));
  return pad;
}

/**
 * @param {import("../../model/variants.mjs").Variant} variant
 * @param {() => import("../input/record.mjs").Take | null} take
 */
function lookStick(variant, take) {
  const stick = element("div", { class: "mg-look" });
  const set = (/** @type {PointerEvent} */ event) => {
    const box = stick.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5];
    const most = STICK * variant.camera.speed;
    const curve = (/** @type {number} */ v) => Math.max(-most, Math.min(most, Math.abs(v) < 0.08 ? 0 : v * 2 * most));
    const now = take();
    if (now) now.stick = { yaw: curve(x), pitch: variant.pitch ? -curve(y) : 0 };
  };
  stick.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    event.stopPropagation();
    stick.setPointerCapture(event.pointerId);
    set(event);
  });
  stick.addEventListener("pointermove", (event) => stick.hasPointerCapture(event.pointerId) && set(event));
  for (const end of ["pointerup", "pointercancel"]) {
    stick.addEventListener(end, () => {
      const now = take();
      if (now) now.stick = { yaw: 0, pitch: 0 };
    });
  }
  return stick;
}
