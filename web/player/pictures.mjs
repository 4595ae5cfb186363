// @ts-check
/** From the frames that a session sends to pictures on the canvas: decoded in order, shown at an even pace. */
import { FPS } from "../model/variants.mjs";
import { element } from "../timeline/view/style.mjs";
import { Pacer } from "./pacer.mjs";

/** @typedef {import("./link.mjs").FramesHead} FramesHead */
/**
 * @typedef {object} Picture
 * @property {ImageBitmap} bitmap
 * @property {number} seq of the inputs that it answers
 * @property {string[]} keys
 * @property {[number, number] | null} camera
 * @property {number} number of the frame
 */

export class Pictures {
  /**
   * @param {(batch: number) => void} decoded a batch is done with @param {(ratio: number) => void} sized another shape
   */
  constructor(decoded, sized) {
    this.decoded = decoded;
    this.sized = sized;
    this.canvas = element("canvas", { width: 640, height: 352 });
    this.pacer = new Pacer(FPS, (/** @type {Picture} */ picture) => picture.bitmap.close());
    /** Batches are decoded one after the other, so that none overtakes another. @type {Promise<unknown>} */
    this.decoding = Promise.resolve();
    this.epoch = 0; // raised where what is on its way is not wanted any more
  }

  /**
   * Decode what came. A still is shown at once, in place of all that came before it.
   * @param {FramesHead} head @param {Blob[]} blobs @returns {Promise<boolean>} whether it was taken
   */
  receive(head, blobs) {
    const came = performance.now();
    if (head.still) this.epoch += 1;
    const { epoch } = this;
    const taken = this.decoding.then(async () => {
      // a picture that cannot be decoded must not hold up those after it
      const bitmaps = await Promise.all(blobs.map((blob) => createImageBitmap(blob))).catch(() => null);
      const wanted = bitmaps !== null && epoch === this.epoch;
      if (!wanted) for (const bitmap of bitmaps ?? []) bitmap.close();
      else if (head.still) this.showStill(bitmaps[0]);
      else this.queue(head, bitmaps, came);
      this.decoded(head.batch);
      return wanted;
    });
    this.decoding = taken;
    return taken;
  }

  /** @param {FramesHead} head @param {ImageBitmap[]} bitmaps @param {number} came milliseconds */
  queue(head, bitmaps, came) {
    const pictures = bitmaps.map((bitmap, i) => {
      const at = i * head.every;
      const keys = head.keys[at] ?? [];
      return { bitmap, seq: head.seq, keys, camera: head.camera?.[at] ?? null, number: head.first + at };
    });
    this.pacer.add(pictures, came, head.part === 0, head.every);
  }

  /** @param {ImageBitmap} bitmap */
  showStill(bitmap) {
    this.pacer.restart();
    this.paint(bitmap);
  }

  /** @param {ImageBitmap} bitmap */
  paint(bitmap) {
    const { canvas } = this;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
      this.sized(bitmap.width / bitmap.height);
    }
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    bitmap.close();
  }
}
