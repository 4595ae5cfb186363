// @ts-check
/**
 * Two fingers on the timeline are the timeline's. The frontend zooms the graph with them and listens in the capture
 * phase of a container around us, so that only a listener on the window comes before it.
 */

/**
 * Keep moves of fingers that all began inside `root` from the graph.
 * @param {HTMLElement} root @returns {() => void} stop doing so
 */
export function keepTouches(root) {
  const mine = (/** @type {TouchEvent} */ event) =>
    [...event.touches].every((touch) => root.contains(/** @type {Node} */ (touch.target)));
  const move = (/** @type {TouchEvent} */ event) => {
    if (event.touches.length > 1 && mine(event)) event.stopPropagation();
  };
  const release = () => window.removeEventListener("touchmove", move, true);
  const end = (/** @type {TouchEvent} */ event) => {
    if (!event.touches.length) release();
  };
  root.addEventListener("touchstart", () =>
    window.addEventListener("touchmove", move, { capture: true, passive: true }),
  );
  root.addEventListener("touchend", end);
  root.addEventListener("touchcancel", release);
  return release;
}
