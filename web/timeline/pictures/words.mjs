// @ts-check
/** What is said of the pictures. */

/** @type {Record<string, string>} */
export const EN = {
  picture: "Picture and filmstrip",
  "picture.show": "Picture at the playhead",
  "picture.film": "Filmstrip",
  "picture.one": "This branch alone",
  "picture.side": "Two branches side by side",
  "picture.wipe": "Two branches as a wipe",
  "picture.label": "Picture at the playhead",
  "picture.at": "frame {t} · {s} s · block {block}",
  "picture.pointer": "pointer: frame {t} · {s} s · block {block}",
  "picture.old": "as it was before the edit",
  "picture.coming": "on its way …",
  "picture.making": "block {block} is being made",
  "picture.empty": "block {block} is not made yet; Run makes it",
  "picture.stale": "block {block} has changed; Run makes it again",
  "picture.failed": "block {block} could not be made",
  "picture.unread": "the picture of block {block} could not be read",
  "picture.none":
    "No pictures yet: connect a World Cache to Roll Out, and run. What is made is then shown here without a run.",
  "picture.nothost": "This browser cannot show pictures here.",
  "picture.nobranch": "There is no other branch yet; B forks one",
  "say.picture.on": "Picture at the playhead is shown",
  "say.picture.off": "Picture at the playhead is hidden",
  "say.film.on": "Filmstrip is shown",
  "say.film.off": "Filmstrip is hidden",
};

/** @type {Record<string, string>} */
export const ZH = {
  picture: "画面与胶片条",
  "picture.show": "播放头处的画面",
  "picture.film": "胶片条",
  "picture.one": "仅此分支",
  "picture.side": "两个分支并排",
  "picture.wipe": "两个分支划像对比",
  "picture.label": "播放头处的画面",
  "picture.at": "第 {t} 帧 · {s} 秒 · 块 {block}",
  "picture.pointer": "指针：第 {t} 帧 · {s} 秒 · 块 {block}",
  "picture.old": "修改之前的画面",
  "picture.coming": "正在读取…",
  "picture.making": "正在生成第 {block} 块",
  "picture.empty": "第 {block} 块尚未生成；运行即可生成",
  "picture.stale": "第 {block} 块已改变；运行会重新生成",
  "picture.failed": "第 {block} 块无法生成",
  "picture.unread": "无法读取第 {block} 块的画面",
  "picture.none": "还没有画面：请将世界缓存接到推演并运行。之后此处无需运行即可显示已生成的内容。",
  "picture.nothost": "此浏览器无法在这里显示画面。",
  "picture.nobranch": "还没有其他分支；按 B 分叉",
  "say.picture.on": "已显示播放头处的画面",
  "say.picture.off": "已隐藏播放头处的画面",
  "say.film.on": "已显示胶片条",
  "say.film.off": "已隐藏胶片条",
};
