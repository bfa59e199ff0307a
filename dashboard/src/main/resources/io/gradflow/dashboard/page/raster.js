/** The pixels of the heat map: what is new is painted, what is there already is moved. */

import { INF, MISSING, NAN, UNPLACED, ZERO, isValue } from './cells.js';
import { marks, palette, patterned, scheme } from './colours.js';
import { wake } from './frames.js';
import { BLANK, Column, gather } from './painter.js';

/** Milliseconds of painting per frame and pane; the rest waits for the next. */
const BUDGET_MS = 7;

/** Columns painted before the clock is looked at. */
const STRIP_COLUMNS = 16;

/** Side of the tile in which all patterns of marks repeat. */
const TILE = 12;

/** Pixels that a value far from usual, NaN or Inf takes at least. */
const LOUD_HEIGHT = 4;

function tile(mark) {
  return patterned(mark, TILE, TILE);
}

/** Painted columns of the map: a ring, so that following the newest step paints what is new and nothing else. */
class Ring {
  constructor() {
    this.canvas = document.createElement('canvas');
    this.context = this.canvas.getContext('2d', { willReadFrequently: false });
    this.width = 0;
    this.height = 0;
    this.low = 0;
    this.high = -1;
    this.bits = new Uint8Array(0);
    this.bands = 0;
  }

  resize(width, height, bands) {
    const wide = Math.ceil((width + STRIP_COLUMNS) / TILE) * TILE;
    if (this.width !== wide || this.height !== height) {
      this.canvas.width = wide;
      this.canvas.height = height;
      this.width = wide;
      this.height = height;
    }
    this.bands = bands;
    this.bits = new Uint8Array(wide * bands);
    this.forget();
  }

  forget() {
    this.low = 0;
    this.high = -1;
  }

  get empty() {
    return this.high < this.low;
  }

  at(column) {
    return ((column % this.width) + this.width) % this.width;
  }

  /** Puts an image of `count` columns that begin with `first`. */
  put(image, first, count) {
    const x = this.at(first);
    const before = Math.min(count, this.width - x);
    this.context.putImageData(image, x, 0, 0, 0, before, this.height);
    if (before < count) {
      this.context.putImageData(image, -before, 0, before, 0, count - before, this.height);
    }
  }

  /** Draws columns [low, high] so that `firstColumn` is at the left edge of the target. */
  draw(context, firstColumn, low, high) {
    let column = low;
    while (column <= high) {
      const x = this.at(column);
      const count = Math.min(high - column + 1, this.width - x);
      context.drawImage(this.canvas, x, 0, count, this.height, column - firstColumn, 0, count, this.height);
      column += count;
    }
  }
}

/**
 * What has been painted of a store's steps. Columns are those of a StepScale; a look is what decides how they are painted:
 * `scale`, `mode`, `stride` between steps, and the codes `low` and `high` at the ends of the colours.
 */
export class Raster {
  #store;
  #ring = new Ring();
  #image = null;
  #bands = null;
  #column = null;
  #flat = new Float32Array(0);
  #height = 0;
  #dirty = [];
  #stale = null;
  #inks = null;

  constructor(store) {
    this.#store = store;
  }

  /** Begins anew with other bands, or with a picture of another size. */
  lay(bands, width, height) {
    this.#bands = bands;
    this.#column = new Column(bands);
    this.#flat = new Float32Array(this.#store.layers.length);
    this.#height = height;
    this.#ring.resize(width, height, bands.count);
    this.#image = new ImageData(STRIP_COLUMNS, height);
    this.#dirty = [];
    this.#stale = null;
  }

  /** Begins anew with another look. `picture`, drawn of the steps of `scale`, stands in until the new one is there. */
  turn(picture, scale) {
    if (picture !== null && !this.#ring.empty) {
      const canvas = document.createElement('canvas');
      canvas.width = picture.width;
      canvas.height = picture.height;
      canvas.getContext('2d').drawImage(picture, 0, 0);
      this.#stale = { canvas, from: scale.from, span: scale.span };
    }
    this.#ring.forget();
    this.#dirty = [];
  }

  /** Steps that are to be painted again. */
  touch(from, to) {
    this.#dirty.push({ from, to, below: Infinity });
  }

  /** Paints what is due within the budget; whether anything has been painted. */
  paint(look) {
    const ring = this.#ring;
    const { scale } = look;
    const end = performance.now() + BUDGET_MS;
    let painted = false;
    if (!ring.empty && (ring.high < scale.firstColumn - ring.width / 2 || ring.low > scale.lastColumn + ring.width / 2)) {
      ring.forget();
    }
    if (ring.empty) {
      this.#dirty = [];
      ring.low = scale.lastColumn + 1;
      ring.high = scale.lastColumn;
    }
    // New steps first, then what has changed, then what has come into sight.
    while (ring.high < scale.lastColumn && performance.now() < end) {
      const last = Math.min(scale.lastColumn, ring.high + STRIP_COLUMNS);
      this.#columns(look, ring.high + 1, last);
      ring.high = last;
      ring.low = Math.max(ring.low, ring.high - ring.width + 1);
      painted = true;
    }
    while (this.#dirty.length > 0 && performance.now() < end) {
      // The latest first: most often it is one step.
      const span = this.#dirty[this.#dirty.length - 1];
      const low = Math.max(ring.low, scale.column(span.from));
      const high = Math.min(ring.high, span.below, scale.columnEnd(span.to + look.stride - 1));
      if (low > high) {
        this.#dirty.pop();
        continue;
      }
      const first = Math.max(low, high - STRIP_COLUMNS + 1);
      this.#columns(look, first, high);
      painted = true;
      span.below = first - 1;
      if (first === low) {
        this.#dirty.pop();
      }
    }
    while (ring.low > scale.firstColumn && performance.now() < end) {
      const first = Math.max(scale.firstColumn, ring.low - STRIP_COLUMNS);
      this.#columns(look, first, ring.low - 1);
      ring.low = first;
      ring.high = Math.min(ring.high, ring.low + ring.width - 1);
      painted = true;
    }
    const done = ring.low <= scale.firstColumn && ring.high >= scale.lastColumn;
    if (done && this.#stale !== null) {
      this.#stale = null;
      painted = true;
    }
    if (!done || this.#dirty.length > 0) {
      wake();
    }
    return painted;
  }

  #columns({ scale, mode, stride, low, high }, first, last) {
    const store = this.#store;
    const bands = this.#bands;
    const column = this.#column;
    const inks = this.#dyed();
    const [begin] = scale.stepsOf(first);
    const [, end] = scale.stepsOf(last);
    const chunks = store.blocks(begin - stride + 1, end, { deviation: mode === 'deviation' });
    const pixels = new Uint32Array(this.#image.data.buffer);
    const paint = { table: inks[mode], low, factor: 255 / (high - low), tiles: inks.tiles };
    pixels.fill(0);
    for (let c = first; c <= last; c++) {
      const [from, to] = scale.stepsOf(c);
      const reach = from - stride + 1;
      const here = chunks.filter((chunk) => chunk.base <= to && chunk.base + chunk.slots.length > reach);
      gather(column, here, reach, to, mode, this.#flat);
      if (!column.filled && from > store.first && to < store.last && store.whole(from) && store.whole(to)) {
        column.addGap();
      }
      const x = this.#ring.at(c);
      if (!column.filled) {
        this.#ring.bits.fill(0, x * bands.count, (x + 1) * bands.count);
        continue;
      }
      column.end();
      this.#ring.bits.set(column.bits, x * bands.count);
      this.#fill(pixels, c - first, x % TILE, paint);
    }
    this.#ring.put(this.#image, first, last - first + 1);
  }

  #fill(pixels, x, phase, { table, low, factor, tiles }) {
    const { count, top } = this.#bands;
    const { code, loud } = this.#column;
    const bar = (value, from, to) => {
      if (isValue(value)) {
        const k = (value - low) * factor;
        const colour = table[k < 0 ? 0 : k > 255 ? 255 : k | 0];
        for (let y = from, at = y * STRIP_COLUMNS + x; y < to; y++, at += STRIP_COLUMNS) {
          pixels[at] = colour;
        }
      } else if (value !== BLANK) {
        const tile = tiles[value];
        for (let y = from; y < to; y++) {
          pixels[y * STRIP_COLUMNS + x] = tile[(y % TILE) * TILE + phase];
        }
      }
    };
    for (let b = 0; b < count; b++) {
      bar(code[b], top[b], top[b + 1]);
    }
    // One pixel would be easily overlooked.
    for (let b = 0; b < count; b++) {
      if (loud[b] && top[b + 1] - top[b] < LOUD_HEIGHT) {
        const from = Math.max(0, top[b] - 1);
        bar(code[b], from, Math.min(this.#height, from + LOUD_HEIGHT));
      }
    }
  }

  /** Pixels of values and marks in the scheme that is in force. */
  #dyed() {
    if (this.#inks?.scheme !== scheme()) {
      const { nan, inf, missing, zero, unplaced } = marks();
      this.#inks = {
        scheme: scheme(),
        norm: palette('norm'),
        deviation: palette('deviation'),
        tiles: {
          [NAN]: tile(nan), [INF]: tile(inf), [MISSING]: tile(missing), [ZERO]: tile(zero), [UNPLACED]: tile(unplaced),
        },
      };
    }
    return this.#inks;
  }

  /** Draws what has been painted of the steps of the scale. */
  draw(canvas, scale) {
    const context = canvas.getContext('2d');
    const ring = this.#ring;
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.#stale !== null) {
      const { canvas: picture, from, span } = this.#stale;
      context.drawImage(picture, scale.x(from), 0, span / scale.perPixel, canvas.height);
    }
    const low = Math.max(ring.low, scale.firstColumn);
    const high = Math.min(ring.high, scale.lastColumn);
    if (low <= high) {
      if (this.#stale !== null) {
        context.clearRect(low - scale.firstColumn, 0, high - low + 1, canvas.height);
      }
      ring.draw(context, scale.firstColumn, low, high);
    }
  }

  /** Marks of each band over the columns of the scale. */
  seen(scale) {
    const { count } = this.#bands;
    const seen = new Uint8Array(count);
    const ring = this.#ring;
    const low = Math.max(ring.low, scale.firstColumn);
    const high = Math.min(ring.high, scale.lastColumn);
    for (let c = low; c <= high; c++) {
      const at = ring.at(c) * count;
      for (let b = 0; b < count; b++) {
        seen[b] |= ring.bits[at + b];
      }
    }
    return seen;
  }
}
