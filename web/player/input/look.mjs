// @ts-check
/** The mouse as the camera: caught by the page where it may be, dragged where it may not. */

/**
 * @typedef {object} LookHost
 * @property {() => boolean} playing
 * @property {(dx: number, dy: number) => void} move pixels
 * @property {() => void} lost the mouse was let go of: by Escape, or because the page was left
 * @property {() => void} refused the browser does not catch the mouse now
 */

export class Look {
  /** @param {HTMLElement} stage @param {LookHost} host */
  constructor(stage, host) {
    this.stage = stage;
    this.host = host;
    /** @type {{id: number, x: number, y: number} | null} a drag */
    this.drag = null;
    this.locked = false;
    this.lockChanged = () => {
      const locked = document.pointerLockElement === stage;
      if (this.locked && !locked) host.lost();
      this.locked = locked;
    };
    document.addEventListener("pointerlockchange", this.lockChanged);
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      stage.addEventListener(end, () => (this.drag = null));
  }

  /** Catch the mouse; a browser refuses where nothing was clicked, and for a second after Escape. */
  async lock() {
    if (this.locked || !this.stage.requestPointerLock || matchMedia("(pointer: coarse)").matches) return;
    try {
      await this.stage.requestPointerLock();
    } catch {
      this.host.refused();
    }
  }

  unlock() {
    this.locked = false; // so that letting go on purpose is no loss
    if (document.pointerLockElement === this.stage) document.exitPointerLock();
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (this.locked || !this.host.playing() || event.button) return;
    this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY };
    this.stage.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  moved(event) {
    if (!this.host.playing()) return;
    if (this.locked) this.host.move(event.movementX, event.movementY);
    else if (this.drag?.id === event.pointerId) {
      this.host.move(event.clientX - this.drag.x, event.clientY - this.drag.y);
      this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY };
    }
  }

  dispose() {
    this.unlock();
    document.removeEventListener("pointerlockchange", this.lockChanged);
  }
}
