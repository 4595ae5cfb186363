// @ts-check
/**
 * What the choices of a node's lists are called where the frontend speaks another language. Values stay as they are,
 * in workflows and in what is sent; what is a name of its own (fp8, flash2, a file) has no other.
 */

import { VARIANTS } from "./model/variants.mjs";

/** By language, then by the name of the input. @type {Record<string, Record<string, Record<string, string>>>} */
export const OPTION_NAMES = {
  zh: {
    dtype: { auto: "自动 (auto)" },
    seen: { changed: "改变后的 (changed)", start: "开始的 (start)" },
    keeps: { newest: "最近的几块 (newest)", same_view: "同一视角 (same_view)" },
    attention: { auto: "自动 (auto)" },
    precision: { exact: "精确 (exact)" },
    decoder: { full: "完整 (full)" },
    file: { "(none)": "（无）", "demo world (built in)": "演示世界 (demo world)" },
    aesthetic_head: { "(none)": "（无）" },
    inverse_dynamics: { "(none)": "（无）" },
    mode: {
      responsive: "灵敏 (responsive)",
      faithful: "忠实 (faithful)",
      automatic: "自动 (automatic)",
      keep: "重新生成并保存 (keep)",
      restore: "取回 (restore)",
      forget: "删除 (forget)",
    },
    images: { "when connected": "有连接时 (when connected)", always: "总是 (always)", never: "从不 (never)" },
    style: { keys: "按键 (keys)", history: "历史 (history)", dots: "小点 (dots)", none: "无 (none)" },
    position: {
      bottom: "底部 (bottom)",
      top: "顶部 (top)",
      bottom_left: "左下 (bottom_left)",
      bottom_right: "右下 (bottom_right)",
      top_left: "左上 (top_left)",
      top_right: "右上 (top_right)",
    },
  },
};

/**
 * Name the choices of a node's lists. @param {any} node @param {string} locale such as `zh` or `zh-TW`
 */
export function nameOptions(node, locale) {
  const [language] = locale.split("-");
  const words = OPTION_NAMES[language];
  if (!words) return;
  for (const widget of node.widgets ?? []) {
    const ofVariants = widget.name === "variant";
    if ((!ofVariants && !words[widget.name]) || widget.type !== "combo" || !widget.options) continue;
    const nameOf = ofVariants
      ? (/** @type {string} */ value) => (value === "auto" ? words.dtype.auto : variantName(value, language))
      : (/** @type {string} */ value) => words[widget.name][value];
    widget.options.getOptionLabel = (/** @type {string | null} */ value) =>
      value == null ? "" : (nameOf(value) ?? value);
  }
}

/**
 * What a variant is called in a language, where that differs. @param {string} name @param {string} language
 * @returns {string | undefined}
 */
export function variantName(name, language) {
  const title = VARIANTS[name]?.titles[language];
  return title && `${title} (${name})`;
}
