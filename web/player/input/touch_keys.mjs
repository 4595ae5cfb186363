// @ts-check
/** The touch pad holds keys in a session by the calls with which it holds those of a take. */
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
  const { inputs, shows } = player;
  const laneOf = (/** @type {string} */ code) =>
    heldKeys(inputs.variant).find((lane) => codeOf(inputs.variant, lane) === code) ?? "";
  const press = (/** @type {string} */ code, /** @type {boolean} */ on) => {
    inputs.press(laneOf(code), on);
    player.pump(performance.now());
    if (on) player.readouts.pressed(inputs.seq, performance.now());
  };
  return {
    down: (/** @type {string} */ code) => press(code, !(shows.latch && inputs.presses(laneOf(code)))),
    up: (/** @type {string} */ code) => shows.latch || press(code, false),
    set stick(/** @type {{yaw: number, pitch: number}} */ value) {
      inputs.stick = value;
    },
  };
}
