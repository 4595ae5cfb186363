// @ts-check
/** Keys and a stick on the glass, for recording with fingers. */
import { heldKeys } from "../../model/variants.mjs";
import { codeOf } from "../input/record.mjs";
import { element } from "./style.mjs";

/** Where the keys lie in the grid of three columns. @type {Record<string, string>} */
export const PLACES = {
  w: "1 / 2",
  a: "2 / 1",
  s: "2 / 2",
  d: "2 / 3",
  turn_left: "1 / 1",
  jump: "1 / 2",
  turn_right: "1 / 3",
  side_left: "2 / 1",
  slide: "2 / 2",
  side_right: "2 / 3",
};

/**
 * The pad of a variant.
 * @param {import("../../model/variants.mjs").Variant} variant @param {(id: string) => string} name
 * @param {() => import("../input/record.mjs").Take | null} take
 */
export function touchPad(variant, name, take) {
  const keys = heldKeys(variant).map((lane) => {
    const button = element(
      "button",
      { class: "mg-key", type: "button", tabindex: "-1", "data-lane": lane, style: `grid-area: ${PLACES[lane]}` },
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
    const curve = (/** @type {number} */ v) => Math.max(-0.2, Math.min(0.2, Math.abs(v) < 0.08 ? 0 : v * 0.4));
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
