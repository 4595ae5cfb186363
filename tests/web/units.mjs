// @ts-check
/**
 * For TypeScript alone: each line after a mark must be refused, or tsc fails. Frames, blocks, seconds, pixels apart.
 */
import {
  blockOfInput,
  blocksOfFrames,
  firstInputOfBlock,
  framesOfBlocks,
  secondsOf,
} from "../../web/model/variants.mjs";
import { View } from "../../web/timeline/view/view.mjs";

const view = new View();
const block = blockOfInput(20);
const frame = firstInputOfBlock(block);

// what is right, and arithmetic
firstInputOfBlock(block + 1);
blockOfInput(frame + 12);
secondsOf(framesOfBlocks(block));
view.time(view.x(frame));

// @ts-expect-error a frame is no block
firstInputOfBlock(frame);
// @ts-expect-error a block is no frame
blockOfInput(block);
// @ts-expect-error
secondsOf(blocksOfFrames(frame));
// @ts-expect-error seconds are no frames
view.x(secondsOf(frame));
// @ts-expect-error a pixel is no frame
view.x(view.x(frame));
// @ts-expect-error a frame is no pixel
view.time(frame);
