// @ts-check
/** A picture from anywhere in the size of the world's frames. */

const MOST_BYTES = 32 * 2 ** 20; // of a file that the session takes
const STRETCH = 1.06; // shapes that differ by no more are scaled whole: image nodes round sizes to multiples of 8 to 64

/**
 * clear: whether it is transparent anywhere.
 * @typedef {{file: Blob, width: number, height: number, how: "" | "scaled" | "cut", clear: boolean}} Fitted
 */

/**
 * The file as it is where it has the size, else scaled: whole where its shape is nearly the frames', and cut at two
 * sides where it is not; transparent where it was. Rejects where the browser cannot read it.
 * @param {Blob} file @param {[number, number]} size width and height @returns {Promise<Fitted>}
 */
export async function fitted(file, [wide, high]) {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  try {
    const ratio = width / height / (wide / high);
    const whole = Math.max(ratio, 1 / ratio) <= STRETCH;
    const [w, h] = whole ? [width, height] : [Math.min(width, width / ratio), Math.min(height, height * ratio)];
    const canvas = Object.assign(document.createElement("canvas"), { width: wide, height: high });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h, 0, 0, wide, high);
    const clear = context.getImageData(0, 0, wide, high).data.some((value, i) => i % 4 === 3 && value < 255);
    if (width === wide && height === high && file.size <= MOST_BYTES) return { file, width, height, how: "", clear };
    const made = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    return { file: /** @type {Blob} */ (made), width, height, how: whole ? "scaled" : "cut", clear };
  } finally {
    bitmap.close();
  }
}

/** The first picture among what was dropped or pasted. @param {DataTransfer | null} data @returns {File | null} */
export function pictureIn(data) {
  return [...(data?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}
