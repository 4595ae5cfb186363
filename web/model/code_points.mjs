// @ts-check
/** Lengths of texts as Python counts them: in code points. */

/** Characters (code points) in `text`. @param {string} text */
export function points(text) {
  let extra = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) extra++;
  }
  return text.length - extra;
}

/** The first `n` code points. @param {string} text @param {number} n */
export const firstPoints = (text, n) => (text.length <= n ? text : [...text.slice(0, 2 * n)].slice(0, n).join(""));
