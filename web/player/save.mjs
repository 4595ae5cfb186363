// @ts-check
/** A take as a file of the player's computer. */
import { element } from "../timeline/view/style.mjs";

const KEEP_MS = 10_000; // a browser may begin to read the file a little later

/** @param {any} timeline */
export function saveFile(timeline) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(timeline)], { type: "application/json" }));
  element("a", { href: url, download: "take.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
}
