// @ts-check
/**
 * Copy, paste, repeat: what is on the clipboard is always a script, so that it can be read, kept and pasted anywhere.
 */
import { DocumentError, activeSeeds, emptyDocument, readDocument } from "../../model/document.mjs";
import { convertVariant } from "../../model/convert.mjs";
import { editableLanes, repeatRange, setLength, takeRange } from "../../model/edit.mjs";
import { putSeeds } from "../../model/edit_signs.mjs";
import { parseScript, printScript } from "../../script/script.mjs";

/** @typedef {import("./editor.mjs").Editor} Editor */

/** The script of the selection, or of the cell under the cursor. @param {Editor} editor */
export function copyScript(editor) {
  const { a, b, lanes } = editor.target;
  const empty = emptyDocument(editor.doc.variant, b - a);
  return printScript({ ...empty, tracks: { ...empty.tracks, ...takeRange(editor.doc, lanes, a, b) } }, b - a);
}

/**
 * Put a script at the cursor, or over the selection as often as it fits; a whole document replaces this one.
 * Throws where the text is neither.
 * @param {Editor} editor @param {string} text
 */
export function pasteText(editor, text) {
  if (text.trimStart().startsWith("{")) {
    const doc = readDocument(text);
    const { doc: mine, lost } =
      doc.variant === editor.doc.variant ? { doc, lost: [] } : convertVariant(doc, editor.doc.variant);
    if (lost.length)
      throw new DocumentError(editor.words("variant.offer", { from: doc.variant, to: editor.doc.variant }), "schema");
    editor.apply(() => mine);
    return;
  }
  const script = parseScript(text, editor.doc.variant);
  const chosen = editor.selection && editor.selection.b - editor.selection.a > 1 ? editor.selection : null;
  const at = chosen ? chosen.a : editor.cursor.t;
  const to = chosen ? chosen.b : Math.min(editor.doc.length, at + script.frames);
  const lanes = (chosen?.lanes ?? editableLanes(editor.doc)).filter((lane) => lane !== "idle");
  const piece = takeRange(script.document, lanes, 0, script.frames);
  // seeds are of all lanes: a piece for some of them leaves those that are there
  const all = editableLanes(editor.doc).every((lane) => lanes.includes(lane));
  const seeds = all ? activeSeeds(script.document) : [];
  editor.apply((doc) => putSeeds(repeatRange(doc, piece, script.frames, at, to), seeds, script.frames, at, to));
  if (!chosen) editor.select(at, to);
  editor.say(seeds.length ? "say.pastedSeeds" : "say.pasted", { n: to - at, t: at });
}

/** The selection once more, right behind itself; the timeline grows where it must. @param {Editor} editor */
export function repeatSelection(editor) {
  const { a, b, lanes } = editor.target;
  const rows = b - a;
  const piece = takeRange(editor.doc, lanes, a, b);
  editor.apply((doc) => repeatRange(b + rows > doc.length ? setLength(doc, b + rows) : doc, piece, rows, b, b + rows));
  editor.select(b, b + rows, lanes);
  editor.cursor = { ...editor.cursor, t: b };
  editor.view.reveal(editor.doc, b + rows - 1);
}
