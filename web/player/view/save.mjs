// @ts-check
/** A take or a picture as a file of the player's computer. */
import { element } from "../../timeline/view/style.mjs";

const KEEP_MS = 10_000; // a browser may begin to read the file a little later

/** @param {any} timeline */
export function saveTake(timeline) {
  saveFile(new Blob([JSON.stringify(timeline)], { type: "application/json" }), "take.json");
}

/** @param {Blob} file @param {string} name */
export function saveFile(file, name) {
  const url = URL.createObjectURL(file);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
}
