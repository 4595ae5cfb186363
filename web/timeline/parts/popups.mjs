// @ts-check
/** Small windows over the lanes: a question with one answer, a menu, the help. One at a time. */
import { element } from "../view/style.mjs";
import { LINES } from "./help.mjs";

/** @typedef {import("./i18n.mjs").Translate} Translate */
/**
 * @typedef {{label: string, keys?: string, run: () => void, off?: boolean, chosen?: boolean, checked?: boolean,
 *   picture?: Promise<string | null>, drop?: Drop}} MenuItem chosen: one of several, and whether it is the one.
 *   checked: whether it is on. picture: the address of one that is shown beside it. drop: it can be dragged out of the
 *   menu
 */

/** @typedef {{over: (event: PointerEvent) => void, drop: (event: PointerEvent) => void}} Drop */

const SLOP = 6; // pixels that a press may move

/**
 * Let a button be dragged: its text follows the pointer until it is let go. A press that stays is a click.
 * @param {HTMLElement} button @param {Drop} drop @param {() => void} close what it lies in
 */
function makeDraggable(button, drop, close) {
  button.style.touchAction = "none";
  button.addEventListener("pointerdown", (down) => {
    if (down.button !== 0) return;
    /** @type {HTMLElement | null} */
    let ghost = null;
    const move = (/** @type {PointerEvent} */ event) => {
      const far = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > SLOP;
      if (!ghost && !far) return;
      ghost ??= document.body.appendChild(element("div", { class: "mg-ghost" }, button.innerText.split("\n")[0]));
      ghost.style.left = `${event.clientX + 10}px`;
      ghost.style.top = `${event.clientY + 10}px`;
      drop.over(event);
    };
    const end = (/** @type {PointerEvent} */ event) => {
      button.removeEventListener("pointermove", move);
      if (!ghost) return;
      ghost.remove();
      button.addEventListener("click", (click) => click.stopImmediatePropagation(), { capture: true, once: true });
      if (event.type === "pointerup") drop.drop(event);
      close();
    };
    button.setPointerCapture(down.pointerId);
    button.addEventListener("pointermove", move);
    for (const kind of ["pointerup", "pointercancel"])
      button.addEventListener(/** @type {"pointerup"} */ (kind), end, { once: true });
  });
}

export class Popups {
  /**
   * @param {HTMLElement} root what they lie over @param {HTMLElement} stage what places are counted from
   * @param {Translate} words @param {() => void} refocus
   */
  constructor(root, stage, words, refocus) {
    this.root = root;
    this.stage = stage;
    this.words = words;
    this.refocus = refocus;
    /** @type {HTMLElement | null} */
    this.open = null;
    /** Told of the item of a menu that the keyboard is at. @type {(id: string) => void} */
    this.pointed = () => {};
  }

  /** Close what is open. @param {boolean} [refocus] @returns {boolean} whether there was anything */
  close(refocus = true) {
    const { open } = this;
    if (!open) return false;
    this.open = null;
    open.remove();
    this.pointed("");
    if (refocus) this.refocus();
    return true;
  }

  /**
   * Show `box` with its corner near a point of the stage.
   * @param {HTMLElement} box @param {number} x @param {number} y
   */
  show(box, x, y) {
    this.close(false);
    this.open = box;
    box.addEventListener("pointerdown", (event) => event.stopPropagation());
    box.addEventListener("contextmenu", (event) => event.preventDefault());
    this.root.append(box);
    const room = [this.root.clientWidth - box.offsetWidth - 4, this.root.clientHeight - box.offsetHeight - 4];
    box.style.left = `${Math.max(4, Math.min(x, room[0]))}px`;
    box.style.top = `${Math.max(4, Math.min(y + this.stage.offsetTop, room[1]))}px`;
  }

  /**
   * Ask for one line of text.
   * @param {{title: string, value: string, hint?: (text: string) => string, x: number, y: number, chips?: string[],
   *   done: (text: string) => string | null}} question
   *   `done` gives what is wrong with the answer, or null
   */
  ask({ title, value, hint, x, y, chips = [], done }) {
    const input = element("input", {
      class: "mg-field",
      type: "text",
      value,
      "aria-label": title,
      autocomplete: "off",
      spellcheck: "false",
    });
    const error = element("div", { class: "mg-error", role: "alert" });
    const help = element("div", { class: "mg-hint" });
    const finish = () => {
      const wrong = done(input.value);
      if (wrong === null) this.close();
      else error.textContent = wrong;
    };
    const showHint = () => (help.textContent = hint ? hint(input.value) : "");
    const buttons = chips.map((chip) =>
      element(
        "button",
        { class: "mg-button mg-text", type: "button", tabindex: "-1", onclick: () => ((input.value = chip), finish()) },
        chip,
      ),
    );
    const box = element(
      "div",
      { class: "mg-pop mg-ask", role: "dialog", "aria-label": title },
      element("h3", {}, title),
      element("div", { class: "mg-row" }, input, ...buttons),
      help,
      error,
    );
    input.addEventListener("input", () => {
      error.textContent = "";
      showHint();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      if (event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Enter") finish();
      else this.close();
    });
    this.show(box, x, y);
    showHint();
    input.focus({ preventScroll: true });
    input.select();
  }

  /**
   * @param {(MenuItem | null)[]} items null: a line between two @param {number} x @param {number} y
   * @param {string} [title]
   */
  menu(items, x, y, title) {
    const parts = items.map((item, i) =>
      item ? this.menuItem(item, i) : element("div", { class: "mg-line", role: "separator" }),
    );
    this.show(element("div", { class: "mg-pop mg-menu", role: "menu", "aria-label": title ?? null }, ...parts), x, y);
  }

  /** @param {MenuItem} item @param {number} i */
  menuItem({ label, keys, run, off, chosen, checked, picture, drop }, i) {
    const radio = chosen !== undefined;
    const on = chosen ?? checked;
    const attributes = {
      role: radio ? "menuitemradio" : on === undefined ? "menuitem" : "menuitemcheckbox",
      "aria-checked": on === undefined ? null : String(on),
      id: `mg-item-${i}`,
    };
    const act = () => {
      this.close();
      run();
    };
    const face = on === undefined ? label : `${radio ? (on ? "●" : "○") : on ? "☑" : "☐"} ${label}`;
    const button = element(
      "button",
      { class: "mg-button", type: "button", tabindex: "-1", disabled: off, onclick: act, ...attributes },
      element("span", {}, face),
      element("kbd", {}, keys ?? ""),
    );
    button.addEventListener("mousedown", (event) => event.preventDefault());
    if (drop) makeDraggable(button, drop, () => this.close());
    void picture?.then((src) => src && button.prepend(element("img", { src, alt: "", class: "mg-thumb" })));
    return button;
  }

  /**
   * A key while a menu is open; the focus stays where it is.
   * @param {KeyboardEvent} event @returns {boolean} whether it was for the menu
   */
  key(event) {
    const menu = this.open?.classList.contains("mg-menu") ? this.open : null;
    const items = /** @type {HTMLButtonElement[]} */ ([...(menu?.querySelectorAll("button:not(:disabled)") ?? [])]);
    if (!items.length || event.ctrlKey || event.metaKey || event.altKey) return false;
    const at = items.findIndex((item) => item.classList.contains("mg-at"));
    const to = {
      ArrowDown: (at + 1) % items.length,
      ArrowUp: (at <= 0 ? items.length : at) - 1,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (to !== undefined) this.point(items, to);
    else if ((event.key === "Enter" || event.key === " ") && at >= 0) items[at].click();
    else return false;
    return true;
  }

  /** @param {HTMLButtonElement[]} items @param {number} at */
  point(items, at) {
    items.forEach((item, i) => item.classList.toggle("mg-at", i === at));
    items[at].scrollIntoView({ block: "nearest" });
    this.pointed(items[at].id);
  }

  help() {
    if (this.open?.classList.contains("mg-help")) {
      this.close();
      return;
    }
    const rows = LINES.map((line) =>
      element(
        "tr",
        {},
        ...this.words(line)
          .split("|")
          .map((cell) => element("td", {}, cell)),
      ),
    );
    const close = element(
      "button",
      {
        class: "mg-button",
        type: "button",
        tabindex: "-1",
        "aria-label": this.words("help.close"),
        onclick: () => this.close(),
      },
      "×",
    );
    const box = element(
      "div",
      { class: "mg-pop mg-help", role: "dialog", "aria-label": this.words("help.title") },
      element("h3", {}, this.words("help.title")),
      element("table", {}, ...rows),
      close,
    );
    this.show(box, 0, 0);
    box.style.left = box.style.top = "";
    this.refocus();
  }
}
