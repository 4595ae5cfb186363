// @ts-check
/** The socket of a player: says hello, comes back when it was lost, and takes messages apart. */

export const VERSION = 1;
const AGAIN_MS = [250, 500, 1000, 2000, 4000];
const PART = 15 * 1024; // bytes of a picture in one message
const FINAL = new Set([4400, 4401, 4426]); // there is no use in trying again

/**
 * @typedef {object} FramesHead what comes with pictures; of a still only `batch`
 * @property {number} batch
 * @property {boolean} [still]
 * @property {number} block
 * @property {number} part
 * @property {number} first
 * @property {number} count
 * @property {number} every only each such frame was sent
 * @property {number} seq
 * @property {number} generation milliseconds
 * @property {number} decode milliseconds
 * @property {string[][]} keys of each frame
 * @property {[number, number][] | null} camera pitch and yaw of each frame
 */
/**
 * @typedef {object} LinkHost
 * @property {(message: any) => void} message
 * @property {(head: FramesHead, pictures: Blob[]) => void} frames
 * @property {(open: boolean, code: number) => void} changed
 * @property {string} lost says that something was not answered before the connection was lost
 */

export class Link {
  /** @param {string} url @param {string} token @param {LinkHost} host */
  constructor(url, token, host) {
    this.url = url;
    this.token = token;
    this.host = host;
    this.tries = 0;
    this.closed = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.count = 0;
    /**
     * What was asked and is not answered.
     * @type {Map<number, {resolve: (answer: any) => void, reject: (why: Error) => void}>}
     */
    this.asked = new Map();
    this.open();
  }

  open() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => this.say("hello", { version: VERSION, token: this.token });
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.host.frames(...takeApart(data));
      const message = JSON.parse(data);
      const asked = this.asked.get(message.ask);
      if (message.type === "welcome") {
        this.tries = 0;
        this.host.changed(true, 0);
      }
      this.host.message(message);
      this.asked.delete(message.ask);
      if (message.type === "refused") asked?.reject(new Error(message.text));
      else asked?.resolve(message);
    };
    socket.onclose = ({ code }) => {
      if (this.closed || socket !== this.socket) return;
      for (const { reject } of this.asked.values()) reject(new Error(this.host.lost));
      this.asked.clear();
      this.host.changed(false, code);
      if (FINAL.has(code)) return;
      this.timer = setTimeout(() => this.open(), AGAIN_MS[Math.min(this.tries++, AGAIN_MS.length - 1)]);
    };
  }

  get ready() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** @param {string} type @param {Record<string, any>} [content] */
  say(type, content = {}) {
    if (this.ready) this.socket?.send(JSON.stringify({ type, ...content }));
  }

  /**
   * Ask for something that is answered: resolves with the answer, and rejects with the sentence of a refusal.
   * @param {string} type @param {Record<string, any>} [content] @param {Uint8Array} [data] follows in parts
   * @returns {Promise<any>}
   */
  ask(type, content = {}, data = new Uint8Array()) {
    if (!this.ready) return Promise.reject(new Error(this.host.lost));
    const ask = (this.count += 1);
    this.say(type, { ask, ...content });
    for (let at = 0; at < data.length; at += PART) this.socket?.send(data.slice(at, at + PART));
    return new Promise((resolve, reject) => this.asked.set(ask, { resolve, reject }));
  }

  /** Leave, and do not come back. */
  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}

/** The header and the JPEG files of a binary message. @param {ArrayBuffer} data @returns {[FramesHead, Blob[]]} */
export function takeApart(data) {
  const view = new DataView(data);
  const size = view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  const pictures = [];
  for (let at = 4 + size; at < data.byteLength;) {
    const length = view.getUint32(at, true);
    pictures.push(new Blob([new Uint8Array(data, at + 4, length)], { type: "image/jpeg" }));
    at += 4 + length;
  }
  return [head, pictures];
}
