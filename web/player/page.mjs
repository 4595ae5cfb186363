// @ts-check
/**
 * The player as a page of its own, as `matrixgame play` and ComfyUI serve it; ComfyUI may lie below a path of its
 * server. The token is behind the # of the address.
 */
import { Player } from "./player.mjs";

const root = location.pathname.replace(/\/(web|extensions)\/.*$/, "");
const address = new URL(`${root}/matrixgame/play`, location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
address.hash = "";

const player = new Player({ url: address.href, token: location.hash.slice(1), locale: navigator.language });
document.body.append(player.root);
Object.assign(window, { player });
