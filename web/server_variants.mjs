// @ts-check
/** Variants that the server knows and this page may not: a folder of its models describes them. */
// @ts-ignore served by ComfyUI
import { api } from "../../scripts/api.js";
import { addVariant } from "./model/variants.mjs";

/** Make them known here. Without an answer those of the package stay. */
export async function learnVariants() {
  try {
    const answer = await api.fetchApi("/matrixgame/variants");
    if (answer.ok) (await answer.json()).variants.forEach(addVariant);
  } catch (error) {
    console.warn("MatrixGame: the server's variants could not be read.", error);
  }
}
