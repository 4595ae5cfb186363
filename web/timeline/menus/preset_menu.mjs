// @ts-check
/** The list of presets: a click puts one at the cursor, a drag where it is let go. */
import { dropPreset, presetsOf, savePreset } from "../editing/presets.mjs";

export class PresetMenu {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor @param {import("../parts/popups.mjs").Popups} popups
   * @param {import("../parts/i18n.mjs").Translate} words
   * @param {{shelf: import("../editing/presets.mjs").Shelf, paste: (text: string) => void,
   *   tell: (message: string) => void, place: (event: PointerEvent) => number | null}} host
   *   place: the row under a pointer, null where there is none
   */
  constructor(editor, popups, words, host) {
    this.editor = editor;
    this.popups = popups;
    this.words = words;
    this.host = host;
  }

  /** @param {number} x @param {number} y */
  open(x, y) {
    const { editor, words, host } = this;
    if (!editor.editable) return;
    const presets = presetsOf(editor.variant, host.shelf);
    const items = presets.map(({ name, script }) => ({
      label: name,
      run: () => host.paste(script),
      drop: this.dropOf(script),
    }));
    const own = presets.filter((preset) => preset.own);
    const deletions = own.map(({ name }) => ({
      label: words("preset.delete", { name }),
      run: () => dropPreset(editor, host.shelf, name),
    }));
    const save = { label: words("preset.save"), run: () => this.ask(x, y), off: !editor.selection };
    this.popups.menu([...items, null, save, ...deletions], x, y, words("preset.title"));
  }

  /** @param {string} script @returns {import("../parts/popups.mjs").Drop} */
  dropOf(script) {
    const { editor, host } = this;
    const over = (/** @type {PointerEvent} */ event) => {
      const t = host.place(event);
      if (t === null) return false;
      editor.selection = null; // it goes where it is let go, not over what is selected
      editor.place(t, editor.cursor.lane, null);
      editor.emit("view");
      return true;
    };
    return { over, drop: (event) => over(event) && host.paste(script) };
  }

  /** @param {number} x @param {number} y */
  ask(x, y) {
    const { editor, words, host } = this;
    this.popups.ask({
      title: words("preset.name"),
      value: "",
      x,
      y,
      done: (text) => {
        if (!savePreset(editor, host.shelf, text)) return words("preset.noname");
        host.tell(words("preset.saved", { name: text.trim() }));
        return null;
      },
    });
  }
}
