// @ts-check
/** The style sheet, linked once per page. */

const HREF = new URL("../timeline.css", import.meta.url).href;

/** Link a style sheet, by default the timeline's. @param {string} [href] */
export function linkStyle(href = HREF) {
  const linked = [...document.querySelectorAll("link[rel=stylesheet]")].some(
    (link) => /** @type {HTMLLinkElement} */ (link).href === href,
  );
  if (linked) return;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  document.head.append(link);
}

/**
 * Set what differs, and touch nothing else: this runs at every frame.
 * @param {HTMLElement} node @param {Record<string, string | boolean>} wanted `text`, `hidden`, or attributes
 */
export function update(node, wanted) {
  for (const [name, value] of Object.entries(wanted)) {
    if (name === "text") {
      if (node.textContent !== value) node.textContent = String(value);
    } else if (name === "hidden" || name === "disabled") {
      if (node.hasAttribute(name) !== value) node.toggleAttribute(name, Boolean(value));
    } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}

/**
 * An element with attributes, properties written as `on...` listeners, and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [attributes] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}
