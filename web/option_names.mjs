// @ts-check
/**
 * What the choices of a node's lists are called where the frontend speaks another language. Values stay as they are,
 * in workflows and in what is sent; what is a name of its own (fp8, flash2, a file) has no other.
 */

/** By language, then by the name of the input. @type {Record<string, Record<string, Record<string, string>>>} */
export const OPTION_NAMES = {
  zh: {
    variant: { universal: "通用 (universal)", gta_drive: "GTA 驾驶 (gta_drive)", templerun: "神庙逃亡 (templerun)" },
    dtype: { auto: "自动 (auto)" },
    attention: { auto: "自动 (auto)" },
    precision: { exact: "精确 (exact)" },
    decoder: { full: "完整 (full)" },
    file: { "(none)": "（无）", "demo world (built in)": "演示世界 (demo world)" },
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
  const words = OPTION_NAMES[locale.split("-")[0]];
  if (!words) return;
  for (const widget of node.widgets ?? []) {
    const names = words[widget.name];
    if (!names || widget.type !== "combo" || !widget.options) continue;
    widget.options.getOptionLabel = (/** @type {string | null} */ value) =>
      value == null ? "" : (names[value] ?? value);
  }
}
