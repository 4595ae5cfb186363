// @ts-check
/**
 * Where the keyboard focus of the lanes lives: a hidden textarea. ComfyUI leaves keys and the clipboard alone while a
 * textarea has the focus; with a focused div, W opens a side bar, Delete removes the node and Ctrl+Z undoes the graph.
 */
import { element } from "../view/style.mjs";

/**
 * @typedef {object} FocusHost
 * @property {HTMLElement} root
 * @property {(event: KeyboardEvent) => void} keydown
 * @property {(event: KeyboardEvent) => void} keyup
 * @property {(focused: boolean) => void} changed
 * @property {() => string} copy text for the clipboard
 * @property {() => void} cut what was copied
 * @property {(text: string) => void} paste
 */

export class FocusProxy {
  /** @param {FocusHost} host @param {Record<string, string>} names aria attributes */
  constructor(host, names) {
    this.host = host;
    this.focused = false;
    this.area = element("textarea", {
      class: "mg-proxy",
      readonly: true,
      inputmode: "none",
      autocomplete: "off",
      autocorrect: "off",
      autocapitalize: "off",
      spellcheck: "false",
      role: "application",
      ...names,
    });
    this.outside = (/** @type {Event} */ event) => {
      if (!host.root.contains(/** @type {Node} */ (event.target))) this.area.blur();
    };
    this.listen();
  }

  listen() {
    const { area, host } = this;
    area.addEventListener("focus", () => this.set(true));
    area.addEventListener("blur", () => this.set(false));
    area.addEventListener("keydown", (event) => host.keydown(event));
    area.addEventListener("keyup", (event) => host.keyup(event));
    for (const kind of ["copy", "cut", "paste"])
      area.addEventListener(kind, (event) => this.clipboard(/** @type {ClipboardEvent} */ (event)));
  }

  /** @param {boolean} on */
  set(on) {
    if (on === this.focused) return;
    this.focused = on;
    if (on) document.addEventListener("pointerdown", this.outside, true);
    else document.removeEventListener("pointerdown", this.outside, true);
    this.host.changed(on);
  }

  /** @param {ClipboardEvent} event */
  clipboard(event) {
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "paste") {
      this.host.paste(event.clipboardData?.getData("text/plain") ?? "");
      return;
    }
    event.clipboardData?.setData("text/plain", this.host.copy());
    if (event.type === "cut") this.host.cut();
  }

  focus() {
    this.area.focus({ preventScroll: true });
  }

  blur() {
    this.area.blur();
  }

  /** Let go of the page. */
  dispose() {
    document.removeEventListener("pointerdown", this.outside, true);
  }
}
