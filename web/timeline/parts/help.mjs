// @ts-check
/** Keys and gestures, for the help: what is pressed | what it does. */

/** @type {Record<string, string>} */
export const EN = {
  "help.drag": "drag in a lane|paint or erase; a camera lane is drawn freehand, Shift keeps it level",
  "help.range": "Shift+click|switch the range from the last click",
  "help.double": "double click|camera lane: type a value; marker row or ruler: name a frame",
  "help.select": "V, then drag|select, move runs (Alt copies), resize them and ramps at their ends",
  "help.ramp": "T|ramp: two clicks or a drag in a camera lane; drag its ends; E changes its easing",
  "help.wheel": "wheel · Alt+wheel|scroll · zoom (click into the lanes first)",
  "help.menu": "right click, long press|menu",
  "help.frame": "← → · Shift|one frame · one block",
  "help.extend": "Shift+Alt+← →|select by frames",
  "help.lane": "↑ ↓|another lane (Shift selects)",
  "help.raise": "Alt+↑ ↓|camera value, or the whole ramp, by 0.01",
  "help.ends": "Home End · PgUp PgDn|ends · previous and next marker",
  "help.switch": "Space, Enter|switch the cell or selection; camera lane: type a value",
  "help.digits": "1 … 9|switch lane n at the cursor or over the selection",
  "help.clipboard": "Ctrl+C X V · Ctrl+D · Ctrl+A|copy, cut, paste as script · repeat the selection · select all",
  "help.clear": "Delete|clear",
  "help.time": "Insert · Shift+Delete|insert · delete a block, or what is selected; all later frames move",
  "help.more": "A · drag the end in the ruler|more blocks at the end; only those are made",
  "help.undo": "Ctrl+Z · Ctrl+Shift+Z, Ctrl+Y|undo · redo",
  "help.loop": "I · O · L|loop from · loop to · loop on and off",
  "help.marker": "M · Shift+M|marker · keep the state here in a World Cache (pin)",
  "help.branch": "B · X · Shift+B|fork a branch here · flip A/B · all branches",
  "help.view": "N · F · + −|snap · show all · zoom",
  "help.picture": "G · Shift+G · C · , .|picture · filmstrip · one branch, side by side, wipe · move the wipe",
  "help.play": "R · K · Esc|record · play or stop · stop, close, leave",
};

/** @type {Record<string, string>} */
export const ZH = {
  "help.drag": "在轨道中拖动|绘制或擦除；镜头轨道可手绘，按住 Shift 保持水平",
  "help.range": "Shift+点击|切换从上次点击到此处的范围",
  "help.double": "双击|镜头轨道：输入数值；标记行或标尺：为帧命名",
  "help.select": "按 V 后拖动|选择、移动区段（Alt 复制），在两端调整区段和渐变",
  "help.ramp": "T|渐变：在镜头轨道中点两次或拖动；可拖动两端；E 切换曲线",
  "help.wheel": "滚轮 · Alt+滚轮|滚动 · 缩放（先点击轨道）",
  "help.menu": "右键、长按|菜单",
  "help.frame": "← → · Shift|一帧 · 一块",
  "help.extend": "Shift+Alt+← →|逐帧选择",
  "help.lane": "↑ ↓|换轨道（Shift 选择）",
  "help.raise": "Alt+↑ ↓|镜头数值或整段渐变增减 0.01",
  "help.ends": "Home End · PgUp PgDn|开头和结尾 · 上一个和下一个标记",
  "help.switch": "空格、Enter|切换单元格或所选范围；镜头轨道：输入数值",
  "help.digits": "1 … 9|在光标处或所选范围内切换第 n 条轨道",
  "help.clipboard": "Ctrl+C X V · Ctrl+D · Ctrl+A|以脚本复制、剪切、粘贴 · 重复所选 · 全选",
  "help.clear": "Delete|清除",
  "help.time": "Insert · Shift+Delete|插入 · 删除一块或所选帧；后面的帧随之移动",
  "help.more": "A · 在标尺中拖动末端|在末尾增加块；只生成新增的块",
  "help.undo": "Ctrl+Z · Ctrl+Shift+Z、Ctrl+Y|撤销 · 重做",
  "help.loop": "I · O · L|循环起点 · 循环终点 · 开关循环",
  "help.marker": "M · Shift+M|标记 · 在 World Cache 中保留此处状态（固定）",
  "help.branch": "B · X · Shift+B|在此分叉 · A/B 切换 · 所有分支",
  "help.view": "N · F · + −|吸附 · 显示全部 · 缩放",
  "help.picture": "G · Shift+G · C · , .|画面 · 胶片条 · 单个分支、并排、划像 · 移动划像线",
  "help.play": "R · K · Esc|录制 · 播放或停止 · 停止、关闭、离开",
};

/** The names of the lines, in order. */
export const LINES = Object.keys(EN);
