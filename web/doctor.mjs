// @ts-check
/** The doctor's report: a row in the settings, a command, and a badge in the About panel that opens it as a page. */
// @ts-ignore served by ComfyUI
import { app } from "../../scripts/app.js";
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { translatorOf } from "./timeline/parts/i18n.mjs";

const ROUTE = "/matrixgame/doctor";
const COMMAND = "MatrixGame.Doctor";

const WORDS = {
  en: {
    title: "Matrix-Game: report for an issue",
    name: "Report for an issue",
    hint: "Versions, device, files, memory and the last error, without personal paths.",
    copy: "Copy report",
    copied: "Copied",
    open: "Open",
    failed: "The report could not be made; is the server running?",
    noClipboard: "The browser lets nothing be copied here; open the report and copy it there.",
  },
  zh: {
    title: "Matrix-Game：问题报告",
    name: "问题报告",
    hint: "版本、设备、文件、内存和最近的错误，不含个人路径。",
    copy: "复制报告",
    copied: "已复制",
    open: "打开",
    failed: "无法生成报告；服务器在运行吗？",
    noClipboard: "浏览器不允许在此复制；请打开报告后复制。",
  },
};

const text = () => {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language ?? "en");
  return translatorOf(WORDS.en, { zh: WORDS.zh }, locale);
};

/** @param {"success" | "error"} severity @param {string} summary */
function toast(severity, summary) {
  app.extensionManager?.toast?.add?.({ severity, summary, life: 5000 });
}

/** Copy the report. @returns {Promise<boolean>} whether it is in the clipboard */
async function copyReport() {
  const say = text();
  let report;
  try {
    const answer = await api.fetchApi(ROUTE);
    if (!answer.ok) throw new Error(answer.statusText);
    report = await answer.text();
  } catch {
    toast("error", say("failed"));
    return false;
  }
  try {
    await navigator.clipboard.writeText(report);
  } catch {
    toast("error", say("noClipboard")); // a page that came over plain http from another machine has no clipboard
    return false;
  }
  toast("success", say("copied"));
  return true;
}

/** @param {string} label @param {() => unknown} act */
function button(label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.className = "mg-doctor-button";
  made.style.cssText =
    "font: inherit; color: inherit; background: var(--comfy-input-bg, #333); border-radius: 4px; " +
    "border: 1px solid var(--border-color, #555); padding: 4px 10px; margin-left: 6px; cursor: pointer;";
  made.addEventListener("click", act);
  return made;
}

/** The setting's row: two buttons, and no value. */
function row() {
  const say = text();
  const root = document.createElement("div");
  root.className = "mg-doctor";
  const copy = button(say("copy"), async () => {
    if (await copyReport()) copy.textContent = say("copied");
  });
  root.append(
    copy,
    button(say("open"), () => window.open(api.apiURL(ROUTE), "_blank", "noopener")),
  );
  return root;
}

app.registerExtension({
  name: "MatrixGame.Doctor",
  commands: [{ id: COMMAND, label: text()("title"), icon: "pi pi-clipboard", function: copyReport }],
  aboutPageBadges: [{ label: text()("title"), url: api.apiURL(ROUTE), icon: "pi pi-clipboard" }],
  settings: [
    {
      id: "MatrixGame.Doctor.Report",
      category: ["Matrix-Game", "Doctor", "Report"],
      name: text()("name"),
      tooltip: text()("hint"),
      type: row,
      defaultValue: null,
    },
  ],
});
