// @ts-check
/** What keys are called: by what is printed on this keyboard, where the browser tells. */
import { codeOf } from "../../timeline/input/record.mjs";

export class KeyNames {
  constructor() {
    /** @type {Map<string, string> | null | undefined} code -> what is printed; undefined before it was asked for */
    this.layout = undefined;
  }

  /** @param {() => void} changed called when the names are known */
  async ask(changed) {
    const { keyboard } = /** @type {any} */ (navigator);
    if (this.layout !== undefined || !keyboard?.getLayoutMap) return;
    this.layout = await keyboard.getLayoutMap().catch(() => null);
    changed();
  }

  /** @param {string} code */
  label(code) {
    return (this.layout?.get(code) ?? code.replace(/^(Key|Digit)/, "")).toUpperCase();
  }

  /**
   * The name of the key that a lane is on.
   * @param {import("./held_inputs.mjs").PlayerInputs} inputs @param {string} lane
   * @param {(lane: string) => string} word
   */
  of(inputs, lane, word) {
    const own = Object.entries(inputs.own).find(([, key]) => key === lane)?.[0];
    return inputs.variant.exclusive && !own ? word(lane) : this.label(own ?? codeOf(inputs.variant, lane));
  }
}
