// @ts-check
/** The hands of the touch pad, in the form in which it knows those of a take. */
import { codeOf } from "../../timeline/input/record.mjs";
import { heldKeys } from "../../model/variants.mjs";

/**
 * Its codes are the usual keys, whatever the keyboard's are now.
 * @param {import("../player.mjs").Player} player @returns {any}
 */
export function touched(player) {
  if (!player.playing) {
    if (player.controller && player.state.state !== "finished") player.play();
    return null;
  }
  const { hands, shows } = player;
  const laneOf = (/** @type {string} */ code) =>
    heldKeys(hands.variant).find((lane) => codeOf(hands.variant, lane) === code) ?? "";
  const press = (/** @type {string} */ code, /** @type {boolean} */ on) => {
    hands.press(laneOf(code), on);
    player.pump(performance.now());
    if (on) player.readouts.pressed(hands.seq, performance.now());
  };
  return {
    down: (/** @type {string} */ code) => press(code, !(shows.latch && hands.presses(laneOf(code)))),
    up: (/** @type {string} */ code) => shows.latch || press(code, false),
    set stick(/** @type {{yaw: number, pitch: number}} */ value) {
      hands.stick = value;
    },
  };
}
