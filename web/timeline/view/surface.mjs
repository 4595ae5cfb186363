// @ts-check
/** How many pixels a canvas has: as many as it takes on the screen, whatever the graph's zoom. */

const MAX_PIXELS = 4096; // of the backing store, per side

/** Device pixels per canvas pixel. @param {HTMLCanvasElement} canvas */
export function scaleOf(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return 1;
  const wanted = (canvas.getBoundingClientRect().width / width) * window.devicePixelRatio;
  return Math.max(0.5, Math.min(wanted, MAX_PIXELS / Math.max(width, height)));
}

/**
 * The context of a canvas that takes `width` times `height` of its own pixels.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height @param {number} scale
 */
export function contextFor(canvas, width, height, scale) {
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(w / width, 0, 0, h / height, 0, 0);
  return ctx;
}
