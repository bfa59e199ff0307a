/** Columns of pixels from blocks of steps: the extremes of whatever falls into a pixel survive. */

import { MISSING } from './cells.js';
import { BLOCK, HAS_INF, HAS_MISSING, HAS_NAN, HAS_UNPLACED, HAS_ZERO, bitOf } from './pyramid.js';

const LIMIT = 32000;

/** Octaves by which a value must depart so that a missing or zero neighbour in its pixel does not hide it. */
const LOUD = 2 * 128;

/** What a band shows when nothing is known of it. */
export const BLANK = -32765;

/**
 * Gathers one column over bands. Of a band's finite values the one that departs most from its layer's usual level is shown, on
 * the usual level of the band: for one layer that is the value itself. NaN goes before Inf before a loud value before missing
 * before zero.
 */
export class Column {
  #bands;
  #up;
  #down;
  #base;
  #members;
  #reference = null;

  constructor(bands) {
    this.#bands = bands;
    this.#up = new Float32Array(bands.count);
    this.#down = new Float32Array(bands.count);
    this.#base = new Float32Array(bands.count);
    this.#members = new Int32Array(bands.count);
    this.bits = new Uint8Array(bands.count);
    this.code = new Int16Array(bands.count);
    this.loud = new Uint8Array(bands.count);
    this.filled = false;
  }

  /** Forgets; departures are measured from `reference` (by layer). */
  begin(reference) {
    this.#up.fill(-Infinity);
    this.#down.fill(Infinity);
    this.bits.fill(0);
    this.filled = false;
    this.#reference = reference;
  }

  /** One step's codes, from offset `at`. */
  addCells(cells, at) {
    const { bandOf } = this.#bands;
    const reference = this.#reference;
    const up = this.#up;
    const down = this.#down;
    for (let i = 0; i < bandOf.length; i++) {
      const band = bandOf[i];
      if (band >= 0) {
        const code = cells[at + i];
        if (code >= -LIMIT && code <= LIMIT) {
          const off = code - reference[i];
          if (off > up[band]) {
            up[band] = off;
          }
          if (off < down[band]) {
            down[band] = off;
          }
        } else {
          this.bits[band] |= bitOf(code);
        }
      }
    }
    this.filled = true;
  }

  /** A block's extremes. */
  addBlock(blocks, block) {
    const { bandOf } = this.#bands;
    const reference = this.#reference;
    const up = this.#up;
    const down = this.#down;
    const { low, high, bits } = blocks;
    const at = block * bandOf.length;
    for (let i = 0; i < bandOf.length; i++) {
      const band = bandOf[i];
      if (band >= 0) {
        const lowest = low[at + i];
        if (lowest <= high[at + i]) {
          const above = high[at + i] - reference[i];
          const below = lowest - reference[i];
          if (above > up[band]) {
            up[band] = above;
          }
          if (below < down[band]) {
            down[band] = below;
          }
          this.filled = true;
        }
        if (bits[at + i] !== 0) {
          this.bits[band] |= bits[at + i];
          this.filled = true;
        }
      }
    }
  }

  /** Nothing came of these steps. */
  addGap() {
    this.bits.fill(HAS_MISSING);
    this.filled = true;
  }

  /** Decides the `code` of each band and whether it is `loud`: far from usual or not finite. */
  end() {
    const { bandOf } = this.#bands;
    const reference = this.#reference;
    this.#base.fill(0);
    this.#members.fill(0);
    for (let i = 0; i < bandOf.length; i++) {
      if (bandOf[i] >= 0) {
        this.#base[bandOf[i]] += reference[i];
        this.#members[bandOf[i]]++;
      }
    }
    for (let b = 0; b < this.code.length; b++) {
      const up = this.#up[b];
      const down = this.#down[b];
      const any = up >= down;
      const off = !any ? 0 : Math.abs(down) > Math.abs(up) ? down : up;
      const bits = this.bits[b];
      const far = any && Math.abs(off) > LOUD;
      this.loud[b] = far || bits & (HAS_NAN | HAS_INF) ? 1 : 0;
      const value = Math.max(-LIMIT, Math.min(LIMIT, Math.round(this.#base[b] / Math.max(1, this.#members[b]) + off)));
      if (bits & HAS_NAN) {
        this.code[b] = 32767;
      } else if (bits & HAS_INF) {
        this.code[b] = 32766;
      } else if (far) {
        this.code[b] = value;
      } else if (bits & HAS_MISSING) {
        this.code[b] = MISSING;
      } else if (bits & HAS_ZERO) {
        this.code[b] = -32767;
      } else if (any) {
        this.code[b] = value;
      } else {
        this.code[b] = bits & HAS_UNPLACED ? -32766 : BLANK;
      }
    }
  }
}

/**
 * Fills the column with the steps [from, to]. `chunks` (ascending, with `norms` and, for deviations, `deviations`) come from the
 * store; where a column is wide in steps whole blocks are taken, by the step they begin at.
 */
export function gather(column, chunks, from, to, mode, flat) {
  const first = chunks[0];
  column.begin(mode === 'norm' && first !== undefined ? first.norms.reference : flat);
  const coarse = to - from + 1 >= BLOCK;
  for (const chunk of chunks) {
    const slots = chunk.slots.length;
    const cells = mode === 'norm' ? chunk.cells : chunk.deviations.cells;
    const blocks = mode === 'norm' ? chunk.norms : chunk.deviations.blocks;
    if (coarse) {
      const low = Math.max(0, Math.ceil((from - chunk.base) / BLOCK));
      const high = Math.min(slots / BLOCK - 1, Math.floor((to - chunk.base) / BLOCK));
      for (let block = low; block <= high; block++) {
        column.addBlock(blocks, block);
      }
    } else {
      const high = Math.min(slots - 1, to - chunk.base);
      for (let slot = Math.max(0, from - chunk.base); slot <= high; slot++) {
        const row = chunk.slots[slot];
        if (row >= 0) {
          column.addCells(cells, row * chunk.layers);
        }
      }
    }
  }
}
