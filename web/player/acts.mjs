// @ts-check
/** What the buttons of the player do. */
import { saveTake } from "./view/save.mjs";
import { fullscreen, popOut, share } from "./view/views.mjs";

/** @param {import("./player.mjs").Player} player @returns {Record<string, () => void>} by name of the button */
export function actsOf(player) {
  return {
    play: () => (player.playing ? player.pause() : player.play()),
    stop: () => player.ask("stop"),
    record: () => {
      player.link.say("record", { on: !player.state.recording });
      player.say(player.words(player.state.recording ? "say.recorded" : "say.recording"));
    },
    rewind: () => player.rewind(1),
    reset: () => player.link.say("reset"),
    take: () => (player.kept ? saveTake(player.kept) : player.link.say("take")),
    change: () => player.change.toggle(),
    share: () => share(player),
    control: () => player.link.say("control"),
    keys: () => player.chooseKeys(),
    pad: () => player.show("pad"),
    latch: () => player.show("latch"),
    hud: () => player.show("hud"),
    preview: () => player.show("preview"),
    popout: () => popOut(player),
    fullscreen: () => fullscreen(player),
  };
}
