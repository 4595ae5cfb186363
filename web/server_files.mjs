// @ts-check
/** Files that the server reads and writes. What it refuses is an Error with its sentence. */
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";

/** A file that is made of what is asked. @param {string} route @param {object} asked @returns {Promise<Blob>} */
export async function fileOf(route, asked) {
  const answer = await api.fetchApi(route, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(asked),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.blob();
}

export const serverFiles = {
  /** @param {File} file @param {string} variant */
  read: async (file, variant) => {
    const query = new URLSearchParams({ name: file.name, variant });
    const answer = await api.fetchApi(`/matrixgame/inputs/read?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  },
  /** @param {string} script @param {string} variant @param {string} kind */
  write: (script, variant, kind) => fileOf("/matrixgame/inputs/write", { script, variant, kind }),
};
