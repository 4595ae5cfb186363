// @ts-check
/** The player over the whole page, and the way for others to see it. */

/** @typedef {import("../player.mjs").Player} Player */

/** Over the whole page, and back. @param {Player} player */
export function popOut(player) {
  const { root } = player;
  if (player.home) {
    player.home.replaceWith(root);
    player.home = undefined;
  } else {
    player.home = document.createComment("player");
    root.replaceWith(player.home);
    document.body.append(root);
  }
  root.classList.toggle("mgp-out", Boolean(player.home));
  player.proxy.focus();
}

/** @param {Player} player */
export function fullscreen(player) {
  // A browser may refuse; then everything stays as it is.
  if (document.fullscreenElement) document.exitFullscreen();
  else player.root.requestFullscreen?.().catch(() => {});
  player.proxy.focus();
}

/** A link to the session goes to the clipboard or, where there is none, below the picture. @param {Player} player */
export async function share(player) {
  const url = new URL(`../index.html#${player.options.token}`, import.meta.url).href;
  try {
    await navigator.clipboard.writeText(url);
    player.say(player.words("say.shared"));
  } catch {
    player.say(url);
  }
}
