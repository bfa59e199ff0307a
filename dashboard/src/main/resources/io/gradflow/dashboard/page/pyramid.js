/** Extremes of blocks of steps, so that zooming out loses none of them. */

import { INF, MISSING, NAN, UNPLACED, ZERO } from './cells.js';

/** Steps of a block. */
export const BLOCK = 8;

/** Bits of what else than finite values a block holds. */
export const HAS_NAN = 1;
export const HAS_INF = 2;
export const HAS_MISSING = 4;
export const HAS_ZERO = 8;
export const HAS_UNPLACED = 16;

/** Bit of a mark. */
export function bitOf(code) {
  switch (code) {
    case NAN:
      return HAS_NAN;
    case INF:
      return HAS_INF;
    case MISSING:
      return HAS_MISSING;
    case ZERO:
      return HAS_ZERO;
    default:
      return HAS_UNPLACED;
  }
}

const LIMIT = 32000;

/**
 * Lowest, highest and marks of each layer over aligned blocks of BLOCK steps of one chunk. A block without any finite value
 * has low above high. `reference` is about each layer's mean over the chunk's finite values: what "usual" is when one of the
 * two extremes has to be chosen.
 */
export class Blocks {
  #stale;

  /** `slots` steps (a multiple of BLOCK) by `layers`. */
  constructor(slots, layers) {
    this.layers = layers;
    this.count = slots / BLOCK;
    this.low = new Int16Array(this.count * layers).fill(32767);
    this.high = new Int16Array(this.count * layers).fill(-32768);
    this.bits = new Uint8Array(this.count * layers);
    this.reference = new Float32Array(layers);
    this.#stale = new Uint8Array(this.count).fill(1);
    this.stale = true;
  }

  /** The cells of the slot have changed. */
  dirty(slot) {
    this.#stale[Math.floor(slot / BLOCK)] = 1;
    this.stale = true;
  }

  /** Recomputes what has changed. `slots[i]` is the row of slot i in `cells` (rows x layers), or -1. */
  update(slots, cells) {
    if (!this.stale) {
      return;
    }
    const { layers, low, high, bits } = this;
    for (let block = 0; block < this.count; block++) {
      if (this.#stale[block] === 0) {
        continue;
      }
      this.#stale[block] = 0;
      const to = block * layers;
      low.fill(32767, to, to + layers);
      high.fill(-32768, to, to + layers);
      bits.fill(0, to, to + layers);
      for (let slot = block * BLOCK; slot < (block + 1) * BLOCK; slot++) {
        const row = slots[slot];
        if (row < 0) {
          continue;
        }
        const at = row * layers;
        for (let i = 0; i < layers; i++) {
          const code = cells[at + i];
          if (code >= -LIMIT && code <= LIMIT) {
            if (code < low[to + i]) {
              low[to + i] = code;
            }
            if (code > high[to + i]) {
              high[to + i] = code;
            }
          } else {
            bits[to + i] |= bitOf(code);
          }
        }
      }
    }
    this.#refer();
    this.stale = false;
  }

  /** Mean of the blocks' middles without the lowest and the highest, so that one block's spike is not "usual". */
  #refer() {
    const { layers, low, high, reference } = this;
    for (let i = 0; i < layers; i++) {
      let sum = 0;
      let count = 0;
      let least = Infinity;
      let most = -Infinity;
      let calm = 0;
      let spread = Infinity;
      for (let block = 0, at = i; block < this.count; block++, at += layers) {
        const wide = high[at] - low[at];
        if (wide >= 0) {
          const middle = (low[at] + high[at]) / 2;
          sum += middle;
          count++;
          least = middle < least ? middle : least;
          most = middle > most ? middle : most;
          if (wide < spread) {
            spread = wide;
            calm = middle;
          }
        }
      }
      reference[i] = count > 2 ? (sum - least - most) / (count - 2) : calm;
    }
  }
}
