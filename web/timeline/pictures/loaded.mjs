// @ts-check
/**
 * Pictures that were fetched, within a budget: what was looked at last stays. Only what is wanted now is asked for, a
 * few at a time, the most wanted first.
 */

/** @typedef {{image: CanvasImageSource & {close?: () => void}, width: number, height: number}} Loaded */

const BYTES_PER_PIXEL = 4;

export class Pictures {
  /**
   * @param {(url: string) => Promise<Loaded>} load
   * @param {{bytes: number, together: number, changed: () => void}} options bytes: of all that is kept, decoded.
   *   together: how many are asked for at once. changed: called when one came, or did not
   */
  constructor(load, { bytes, together, changed }) {
    this.load = load;
    this.most = bytes;
    this.together = together;
    this.changed = changed;
    /** The one used last stands last. @type {Map<string, Loaded>} */
    this.kept = new Map();
    this.bytes = 0;
    /** @type {Set<string>} */
    this.coming = new Set();
    /** @type {Set<string>} */
    this.failed = new Set();
    /** @type {string[]} */
    this.wanted = [];
    this.ended = false;
  }

  /** A picture, if it is here; now the one used last. @param {string} url @returns {Loaded | null} */
  get(url) {
    const found = this.kept.get(url);
    if (!found) return null;
    this.kept.delete(url);
    this.kept.set(url, found);
    return found;
  }

  /** Whether it was asked for in vain. @param {string} url */
  hasFailed(url) {
    return this.failed.has(url);
  }

  /** Ask again for what did not come. */
  retry() {
    this.failed.clear();
  }

  /** What is looked at now, the most wanted first; what was wanted before and did not begin is forgotten. */
  want(/** @type {string[]} */ urls) {
    this.wanted = urls;
    this.next();
  }

  next() {
    for (const url of this.wanted) {
      if (this.ended || this.coming.size >= this.together) return;
      if (this.kept.has(url) || this.coming.has(url) || this.failed.has(url)) continue;
      this.coming.add(url);
      this.load(url).then(
        (loaded) => this.came(url, loaded),
        () => this.came(url, null),
      );
    }
  }

  /** @param {string} url @param {Loaded | null} loaded */
  came(url, loaded) {
    this.coming.delete(url);
    if (this.ended) {
      loaded?.image.close?.();
      return;
    }
    if (loaded) this.keep(url, loaded);
    else this.failed.add(url);
    this.next();
    this.changed();
  }

  /** @param {string} url @param {Loaded} loaded */
  keep(url, loaded) {
    this.kept.set(url, loaded);
    this.bytes += sizeOf(loaded);
    for (const [other, old] of this.kept) {
      if (this.bytes <= this.most || other === url) return;
      if (this.wanted.includes(other)) continue;
      this.kept.delete(other);
      this.bytes -= sizeOf(old);
      old.image.close?.();
    }
  }

  /** Let go of everything. */
  end() {
    this.ended = true;
    for (const { image } of this.kept.values()) image.close?.();
    this.kept.clear();
    this.bytes = 0;
  }
}

/** @param {Loaded} loaded */
const sizeOf = ({ width, height }) => width * height * BYTES_PER_PIXEL;

/** Fetch and decode a picture. @param {string} url @returns {Promise<Loaded>} */
export async function fetchPicture(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(await answer.text());
  const image = await createImageBitmap(await answer.blob());
  return { image, width: image.width, height: image.height };
}
