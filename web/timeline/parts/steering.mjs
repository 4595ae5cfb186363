// @ts-check
/** What steers a recording besides the keyboard: the locked pointer, or a pad for fingers. */
import { touchPad } from "./pad.mjs";

export class Steering {
  /**
   * @param {import("../editing/editor.mjs").Editor} editor
   * @param {import("../input/transport.mjs").Transport} transport @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} stage where the pad goes
   */
  constructor(editor, transport, canvas, stage) {
    this.editor = editor;
    this.transport = transport;
    this.canvas = canvas;
    this.stage = stage;
    this.locked = false;
    /** @type {HTMLElement | null} */
    this.pad = null;
    this.lockChanged = () => {
      if (document.pointerLockElement !== canvas && transport.take && this.locked) transport.stop();
      this.locked = document.pointerLockElement === canvas;
    };
    document.addEventListener("pointerlockchange", this.lockChanged);
  }

  /** A recording has begun. @param {boolean} touch */
  begin(touch) {
    const { editor, transport } = this;
    if (touch)
      this.stage.append(
        (this.pad = touchPad(
          editor.variant,
          (id) => editor.nameOf(id),
          () => transport.take,
        )),
      );
    else if (editor.armed.has("yaw") || editor.armed.has("pitch")) {
      // Refused without a recent click, or where the page may not lock: the pointer then steers while it is over us.
      Promise.resolve(this.canvas.requestPointerLock?.()).catch(() => {});
    }
  }

  end() {
    this.pad?.remove();
    if (document.pointerLockElement === this.canvas) document.exitPointerLock();
  }

  /** Let go of the page. */
  dispose() {
    document.removeEventListener("pointerlockchange", this.lockChanged);
  }
}
