/** Layers by steps: the heat map, its strips, its cursor and its keys. */

import { NAN, INF, MISSING, UNPLACED, ZERO, isValue, markOf, normOf } from './cells.js';
import { gradient, ink, marks, palette, scheme } from './colours.js';
import { element } from './forms.js';
import { eachFrame, frames, wake } from './frames.js';
import { BLANK, Column, gather } from './painter.js';
import { layBands, layRows } from './rows.js';
import { StepScale, clean, formatNorm, formatStep } from './scale.js';
import { CAPACITY } from './store.js';
import { ABOVE_HEIGHT, BELOW_HEIGHT, BELOW_NAMES, STRIP, drawBelow, drawIncidents } from './strips.js';
import { MAX_SPAN, MIN_SPAN } from './view.js';

window.gradflowFrames = frames;

/** Milliseconds of painting per frame and pane; the rest waits for the next. */
const BUDGET_MS = 7;

/** What is read and not seen changes at most this often. */
const READABLE_MS = 250;

/** Columns painted before the clock is looked at. */
const STRIP_COLUMNS = 16;

/** Side of the tile in which all patterns of marks repeat. */
const TILE = 12;

/** Pixels that a value far from usual, NaN or Inf takes at least. */
const LOUD_HEIGHT = 4;

/** Octaves at the ends of the scale of deviations. */
const DEVIATION_OCTAVES = 3;

/** Heights of rows and widths of panes, in CSS pixels, from which on rows bear the names of their layers. */
const NAMED_ROW = 13;
const NAMED_WIDTH = 640;

const LOG10_CODE = Math.log10(2) / 128;

function named(text, max) {
  const node = element('span', { class: 'name' }, clean(text, max));
  node.title = clean(text, 500);
  return node;
}

function tile({ a, b, pattern }) {
  const pixels = new Uint32Array(TILE * TILE);
  for (let y = 0; y < TILE; y++) {
    for (let x = 0; x < TILE; x++) {
      pixels[y * TILE + x] = pattern(x, y) ? b : a;
    }
  }
  return pixels;
}

/** 'x 1.32' and the like: how often the usual norm. */
function formatRatio(octaves) {
  return Number.isFinite(octaves) ? `${formatNorm(2 ** octaves)}× usual` : '';
}

function formatOctaves(octaves) {
  if (!Number.isFinite(octaves)) {
    return '–';
  }
  return `${octaves < 0 ? '−' : '+'}${Math.abs(octaves).toFixed(2)} oct`;
}

/** A layer's name without that of its block in front. */
function within(name, block) {
  return name.startsWith(`${block}.`) ? name.slice(block.length + 1) : name;
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

/** One pane: a store's map with its strips. */
class Pane {
  #store;
  #view;
  #signal;
  #second;
  #ring = new Ring();
  #image = null;
  #rows = null;
  #bands = null;
  #column = null;
  #flat = new Float32Array(0);
  #scale = null;
  #key = '';
  #range = null;
  #rangeAt = 0;
  #dirty = [];
  #stale = null;
  #tiles = null;
  #colours = null;
  #compose = true;
  #decorate = true;
  #overlayDue = true;
  #railAt = 0;
  #decoratedAt = 0;
  #pointed = true;
  #bars = [];
  #events = [];
  #drag = null;
  #stride = 1;
  #deviceWidth = 0;
  #deviceHeight = 0;
  #keyRow = 0;

  constructor(root, { store, view, signal }, second) {
    this.#store = store;
    this.#view = view;
    this.#signal = signal;
    this.#second = second;
    this.#build(root);
    this.#listen();
    eachFrame((now) => this.#frame(now), signal);
    wake();
  }

  // Elements.

  #build(root) {
    this.root = element('div');
    const plot = element('div', { class: 'plot' });
    this.plot = plot;
    this.aboveNames = element('div', { class: 'gutter' });
    this.above = element('div', { class: 'timeline' });
    this.above.style.height = `${ABOVE_HEIGHT}px`;
    this.gutter = element('div', { class: 'gutter' });
    this.stage = element('div', { class: 'stage' });
    this.stage.tabIndex = 0;
    this.stage.setAttribute('role', 'img');
    this.stage.setAttribute('aria-roledescription', 'heat map');
    this.base = element('canvas');
    this.overlay = element('canvas', { class: 'overlay' });
    this.stage.append(this.base, this.overlay);
    this.rail = element('canvas', { class: 'rail' });
    this.rail.setAttribute('aria-hidden', 'true');
    this.rail.title = 'Triangles: rows with NaN or Inf among the visible steps. Bars: rows with missing values.';
    this.belowNames = element('div', { class: 'gutter' });
    this.below = element('div', { class: 'timeline' });
    this.below.style.height = `${BELOW_HEIGHT}px`;
    this.aboveCanvas = element('canvas');
    this.belowCanvas = element('canvas');
    this.above.append(this.aboveCanvas);
    this.below.append(this.belowCanvas);
    plot.append(
      this.aboveNames, this.above, element('div'), this.gutter, this.stage, this.rail, this.belowNames, this.below, element('div'),
    );
    this.tip = element('div', { class: 'tip' });
    this.tip.hidden = true;
    const incidents = element('span', { class: 'strip-name' }, 'incidents');
    incidents.style.top = '2px';
    const input = element('span', { class: 'strip-name end' }, 'input ↓');
    input.style.bottom = '-1px';
    this.aboveNames.append(incidents, input);
    const loss = element('span', { class: 'strip-name end' }, 'loss ↑');
    loss.style.top = '-1px';
    this.belowNames.append(loss);
    BELOW_NAMES.forEach((name, i) => {
      const label = element('span', { class: 'strip-name' }, name);
      label.style.top = `${i * STRIP - 1}px`;
      this.belowNames.append(label);
    });
    const steps = element('span', { class: 'strip-name' }, 'step');
    steps.style.top = `${BELOW_NAMES.length * STRIP + 4}px`;
    this.belowNames.append(steps);
    this.readout = element('div', { class: 'readout' });
    this.spoken = element('div', { class: 'hidden-text' });
    this.spoken.setAttribute('aria-live', 'polite');
    this.root.append(plot, this.readout, this.spoken, this.tip);
    root.append(this.root);
  }

  #listen() {
    const on = (target, type, listener, options = {}) =>
      target.addEventListener(type, listener, { signal: this.#signal, ...options });
    on(this.#store, 'change', (event) => this.#stored(event));
    on(this.#view, 'change', (event) => this.#viewed(event));
    on(this.stage, 'pointermove', (event) => this.#hover(event));
    on(this.stage, 'pointerleave', () => this.#leave());
    on(this.stage, 'pointerdown', (event) => this.#press(event));
    on(this.stage, 'pointerup', (event) => this.#release(event));
    on(this.stage, 'pointercancel', () => this.#cancel());
    on(this.stage, 'wheel', (event) => this.#wheel(event), { passive: false });
    on(this.stage, 'dblclick', () => this.reset());
    on(this.stage, 'keydown', (event) => this.#typed(event));
    on(this.above, 'pointermove', (event) => this.#overIncident(event));
    on(this.above, 'pointerleave', () => (this.tip.hidden = true));
    on(this.above, 'click', (event) => {
      const bar = this.#barAt(event.offsetX, event.offsetY);
      if (bar) {
        this.#view.set({ incident: bar.incident.incidentId });
      }
    });
    on(this.below, 'pointermove', (event) => this.#overEvent(event));
    on(this.below, 'pointerleave', () => (this.tip.hidden = true));
    const observer = new ResizeObserver(() => {
      this.#key = '';
      wake();
    });
    observer.observe(this.stage);
    this.#signal.addEventListener('abort', () => observer.disconnect());
  }

  #stored(event) {
    if (event.kinds.has('manifest')) {
      this.#rows = null;
    }
    if (event.kinds.has('steps')) {
      this.#dirty.push({ from: event.from, to: event.to, below: Infinity });
    }
    if (event.kinds.has('loading')) {
      this.#want();
    }
    if (event.kinds.has('incidents')) {
      this.#overlayDue = true;
    }
    this.#decorate = true;
    wake();
  }

  #want() {
    const { from, to } = this.#view.visible(this.#store);
    this.#store.want(from, to);
  }

  #viewed(event) {
    const changed = event.changed;
    if (changed.has('folded') || changed.has('filter')) {
      this.#rows = null;
    }
    if (changed.has('theme')) {
      this.#colours = null;
      this.#key = '';
    }
    this.#overlayDue = true;
    this.#pointed = true;
    if (['to', 'to2', 'span', 'incident', 'theme'].some((key) => changed.has(key))) {
      this.#decorate = true;
      this.#want();
    }
    wake();
  }

  // Painting.

  #frame(now) {
    if (this.#store.layers.length === 0 || this.stage.clientWidth === 0) {
      return;
    }
    this.#arrange(now);
    if (this.#paint() || this.#compose) {
      this.#show();
    }
    const moved = this.#overlayDue;
    if (moved) {
      this.#drawOverlay();
      this.#overlayDue = false;
    }
    if (moved || (this.#decorate && now - this.#decoratedAt > READABLE_MS)) {
      this.#decoratedAt = now;
      this.#drawStrips();
      this.#decorate = false;
    }
    if (this.#decorate) {
      wake();
    }
    if (this.#pointed || now - this.#railAt > READABLE_MS) {
      this.#pointed = false;
      this.#read();
    }
    if (now - this.#railAt > READABLE_MS) {
      this.#railAt = now;
      this.#drawRail();
      this.#describe();
    }
  }

  /** Finds out what is to be seen; forgets what has been painted when that is something else. */
  #arrange(now) {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.stage.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.stage.clientHeight * ratio));
    const view = this.#view;
    const fresh = this.#rows === null || height !== this.#deviceHeight || width !== this.#deviceWidth;
    if (fresh) {
      this.#deviceWidth = width;
      this.#deviceHeight = height;
      for (const canvas of [this.base, this.overlay]) {
        canvas.width = width;
        canvas.height = height;
        canvas.style.width = `${this.stage.clientWidth}px`;
        canvas.style.height = `${this.stage.clientHeight}px`;
      }
      this.#rows = layRows(this.#store.layers, view.get('folded'), view.get('filter'));
      this.#bands = layBands(this.#rows, this.#store.layers.length, height);
      this.#column = new Column(this.#bands);
      this.#flat = new Float32Array(this.#store.layers.length);
      this.#ring.resize(width, height, this.#bands.count);
      this.#image = new ImageData(STRIP_COLUMNS, height);
      this.#stale = null;
      this.#drawGutter();
      this.#decorate = true;
      this.#overlayDue = true;
      this.#key = '';
    }
    this.#stride = this.#store.stride;
    const { from, to } = view.visible(this.#store);
    const scale = new StepScale(from, to, width);
    const range = this.#findRange(now);
    const key = `${scale.perPixel} ${view.get('mode')} ${range.low} ${range.high} ${scheme()} ${this.#stride}`;
    if (key !== this.#key) {
      if (!fresh && this.#scale !== null && !this.#ring.empty) {
        this.#stale = this.#snapshot();
      }
      this.#key = key;
      this.#ring.forget();
      this.#dirty = [];
      this.#compose = true;
    }
    if (this.#scale === null || this.#scale.firstColumn !== scale.firstColumn || this.#scale.perPixel !== scale.perPixel) {
      this.#compose = true;
      this.#overlayDue = true;
    }
    this.#scale = scale;
    this.#colours ??= { norm: palette('norm'), deviation: palette('deviation') };
    if (this.#tiles?.scheme !== scheme()) {
      const { nan, inf, missing, zero, unplaced } = marks();
      this.#tiles = {
        scheme: scheme(),
        [NAN]: tile(nan), [INF]: tile(inf), [MISSING]: tile(missing), [ZERO]: tile(zero), [UNPLACED]: tile(unplaced),
      };
    }
  }

  /** What is on show, to stand in until the new picture is there. */
  #snapshot() {
    const canvas = document.createElement('canvas');
    canvas.width = this.base.width;
    canvas.height = this.base.height;
    canvas.getContext('2d').drawImage(this.base, 0, 0);
    return { canvas, from: this.#scale.from, span: this.#scale.span };
  }

  /** Ends of the colour scale in codes: half decades around what layers usually have. */
  #findRange(now) {
    if (this.#view.get('mode') === 'deviation') {
      return { low: -DEVIATION_OCTAVES * 128, high: DEVIATION_OCTAVES * 128 };
    }
    if (this.#range !== null && now - this.#rangeAt < 2000) {
      return this.#range;
    }
    this.#rangeAt = now;
    const { from, to } = this.#view.visible(this.#store);
    const usual = this.#usual(from, to);
    if (usual.length === 0) {
      return this.#range ?? { low: -4 / LOG10_CODE, high: 2 / LOG10_CODE, empty: true };
    }
    const half = 0.5 / LOG10_CODE;
    const low = Math.floor(usual[Math.floor(usual.length * 0.01)] / half - 0.3) * half;
    const high = Math.max(low + 2 * half, Math.ceil(usual[Math.floor((usual.length - 1) * 0.99)] / half + 0.3) * half);
    const old = this.#range;
    // A little less of the scale in use is no reason to recolour everything.
    if (old === null || old.empty || low < old.low || high > old.high || low - old.low + old.high - high > 2.5 * half) {
      this.#range = { low, high };
      this.root.dispatchEvent(new CustomEvent('range', { bubbles: true }));
    }
    return this.#range;
  }

  /** Median codes of a sample of layers over a sample of the steps, ascending: a fault of some steps does not move them. */
  #usual(from, to) {
    const rows = [];
    const jump = Math.max(1, Math.floor((to - from) / 40));
    for (let step = to; step >= from && rows.length < 40; step -= jump) {
      const row = this.#store.row(this.#stride === 1 ? step : this.#store.nearest(step));
      if (row !== null) {
        rows.push(row);
      }
    }
    const medians = [];
    const layers = this.#store.layers.length;
    for (let i = 0; i < layers; i += Math.ceil(layers / 200)) {
      const codes = rows.map((row) => row[i]).filter(isValue);
      if (codes.length > 0) {
        medians.push(codes.sort((a, b) => a - b)[codes.length >> 1]);
      }
    }
    return medians.sort((a, b) => a - b);
  }

  /** Ends of the colour scale as norms. */
  get ends() {
    const range = this.#range;
    return range === null ? null : [10 ** (range.low * LOG10_CODE), 10 ** (range.high * LOG10_CODE)];
  }

  /** Paints what is due within the budget; whether anything has been painted. */
  #paint() {
    const ring = this.#ring;
    const scale = this.#scale;
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
      this.#columns(ring.high + 1, last);
      ring.high = last;
      ring.low = Math.max(ring.low, ring.high - ring.width + 1);
      painted = true;
    }
    while (this.#dirty.length > 0 && performance.now() < end) {
      // The latest first: most often it is one step.
      const span = this.#dirty[this.#dirty.length - 1];
      const low = Math.max(ring.low, scale.column(span.from));
      const high = Math.min(ring.high, span.below, scale.columnEnd(span.to + this.#stride - 1));
      if (low > high) {
        this.#dirty.pop();
        continue;
      }
      const first = Math.max(low, high - STRIP_COLUMNS + 1);
      this.#columns(first, high);
      painted = true;
      span.below = first - 1;
      if (first === low) {
        this.#dirty.pop();
      }
    }
    while (ring.low > scale.firstColumn && performance.now() < end) {
      const first = Math.max(scale.firstColumn, ring.low - STRIP_COLUMNS);
      this.#columns(first, ring.low - 1);
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

  #columns(first, last) {
    const scale = this.#scale;
    const store = this.#store;
    const bands = this.#bands;
    const column = this.#column;
    const mode = this.#view.get('mode');
    const stride = this.#stride;
    const [low] = scale.stepsOf(first);
    const [, high] = scale.stepsOf(last);
    const chunks = store.blocks(low - stride + 1, high, { deviation: mode === 'deviation' });
    const pixels = new Uint32Array(this.#image.data.buffer);
    const table = this.#colours[mode];
    const range = mode === 'deviation' ? { low: -DEVIATION_OCTAVES * 128, high: DEVIATION_OCTAVES * 128 } : this.#findRange(-Infinity);
    const factor = 255 / (range.high - range.low);
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
      this.#fill(pixels, c - first, x % TILE, table, range.low, factor);
    }
    this.#ring.put(this.#image, first, last - first + 1);
  }

  #fill(pixels, x, phase, table, low, factor) {
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
        const tile = this.#tiles[value];
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
        bar(code[b], from, Math.min(this.#deviceHeight, from + LOUD_HEIGHT));
      }
    }
  }

  #show() {
    const context = this.base.getContext('2d');
    const scale = this.#scale;
    const ring = this.#ring;
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, this.base.width, this.base.height);
    if (this.#stale !== null) {
      const { canvas, from, span } = this.#stale;
      context.drawImage(canvas, scale.x(from), 0, span / scale.perPixel, this.base.height);
    }
    const low = Math.max(ring.low, scale.firstColumn);
    const high = Math.min(ring.high, scale.lastColumn);
    if (low <= high) {
      if (this.#stale !== null) {
        context.clearRect(low - scale.firstColumn, 0, high - low + 1, this.base.height);
      }
      ring.draw(context, scale.firstColumn, low, high);
    }
    this.#compose = false;
  }

  /** Strips are drawn in CSS pixels. */
  #drawStrips() {
    const width = this.stage.clientWidth;
    const ratio = this.#deviceWidth / width;
    const scale = this.#scale;
    const soft = {
      from: scale.from,
      to: scale.to,
      perPixel: scale.perPixel * ratio,
      x: (step) => scale.x(step) / ratio,
    };
    const incident = this.#view.get('incident');
    this.#bars = drawIncidents(this.aboveCanvas, soft, width, this.#store.incidents, this.#store.last, incident);
    this.#events = drawBelow(this.belowCanvas, soft, width, this.#store, this.#stride);
  }

  #drawRail() {
    const width = 12;
    const { count, top } = this.#bands;
    const height = this.#deviceHeight;
    if (this.rail.width !== width || this.rail.height !== height) {
      this.rail.width = width;
      this.rail.height = height;
      this.rail.style.height = `${this.stage.clientHeight}px`;
      this.rail.style.width = `${width}px`;
    }
    const context = this.rail.getContext('2d');
    context.clearRect(0, 0, width, height);
    const seen = this.#seen();
    for (let b = 0; b < count; b++) {
      const tall = Math.max(3, top[b + 1] - top[b] - 1);
      if (seen[b] & 3) {
        context.fillStyle = ink('--nan');
        context.beginPath();
        context.moveTo(1, top[b] + tall / 2);
        context.lineTo(6, top[b]);
        context.lineTo(6, top[b] + tall);
        context.fill();
      }
      if (seen[b] & 4) {
        context.fillStyle = ink('--dim');
        context.fillRect(8, top[b], 3, tall);
      }
    }
  }

  /** Marks of each band over the visible columns. */
  #seen() {
    const { count } = this.#bands;
    const seen = new Uint8Array(count);
    const ring = this.#ring;
    const low = Math.max(ring.low, this.#scale.firstColumn);
    const high = Math.min(ring.high, this.#scale.lastColumn);
    for (let c = low; c <= high; c++) {
      const at = ring.at(c) * count;
      for (let b = 0; b < count; b++) {
        seen[b] |= ring.bits[at + b];
      }
    }
    return seen;
  }

  #describe() {
    const store = this.#store;
    const { from, to } = this.#scale;
    const seen = this.#seen();
    const broken = seen.reduce((n, bits) => n + ((bits & 3) !== 0), 0);
    const lacking = seen.reduce((n, bits) => n + ((bits & 4) !== 0), 0);
    const label =
      `Gradient norms of run ${clean(store.run)}: ${this.#rows.members.length} layers in ${this.#rows.count} rows, ` +
      `steps ${Math.max(0, from)} to ${to}. ${broken} rows hold NaN or Inf, ${lacking} rows lack values. ` +
      'Arrow keys move the cursor, shift and arrows pan, plus and minus zoom, f follows, 0 resets, Enter folds a block.';
    if (this.stage.getAttribute('aria-label') !== label) {
      this.stage.setAttribute('aria-label', label);
    }
  }

  #drawOverlay() {
    const context = this.overlay.getContext('2d');
    const scale = this.#scale;
    const store = this.#store;
    const view = this.#view;
    const width = this.overlay.width;
    const height = this.overlay.height;
    context.clearRect(0, 0, width, height);
    const line = (x, colour, dash, thick) => {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.stroke();
    };
    for (const step of this.#attempts()) {
      const x = Math.round(scale.x(step)) + 0.5;
      line(x, '#000', [], 3);
      line(x, '#fff', [4, 3], 1);
    }
    const incident = store.incidents.get(view.get('incident'));
    if (incident !== undefined) {
      for (const step of [incident.onsetStep, incident.resolvedStep]) {
        if (step !== null && step !== undefined) {
          line(Math.round(scale.x(step)) + 0.5, '#000', [], 3);
          line(Math.round(scale.x(step)) + 0.5, '#fff', [], 1);
        }
      }
      this.#outlineRow(context, store.layerIndex(incident.rootLayer), [5, 3]);
    }
    this.#outlineRow(context, store.layerIndex(view.get('layer')), []);
    const step = view.step(store);
    const pinned = view.get('cursor') !== null || view.get('hover') !== null;
    if (pinned && step >= scale.from && step <= scale.to) {
      const x = scale.x(step);
      const wide = Math.max(1, this.#stride / scale.perPixel);
      context.setLineDash([]);
      context.fillStyle = 'rgb(0 0 0 / .55)';
      context.fillRect(Math.floor(x) - 1, 0, 1, height);
      context.fillRect(Math.floor(x + wide), 0, 1, height);
      context.fillStyle = 'rgb(255 255 255 / .9)';
      if (wide < 3) {
        context.fillRect(Math.floor(x), 0, 1, height);
      } else {
        context.fillRect(Math.floor(x), 0, 1, height);
        context.fillRect(Math.floor(x + wide) - 1, 0, 1, height);
      }
    }
    this.#pointAt(context, store.layerIndex(view.get('hoverLayer')));
  }

  /** Steps at which another attempt begins. */
  #attempts() {
    const found = [];
    let before = NaN;
    this.#store.each(this.#scale.from, this.#scale.to, (chunk, row, step) => {
      const attempt = chunk.columns.attempt[row];
      if (before < attempt || before > attempt) {
        found.push(step);
      }
      before = attempt;
    });
    return found;
  }

  #outlineRow(context, layer, dash) {
    const band = layer < 0 ? -1 : this.#bands.bandOf[layer];
    if (band < 0 || band === undefined) {
      return;
    }
    const top = this.#bands.top[band];
    const tall = Math.max(2, this.#bands.top[band + 1] - top);
    for (const [colour, thick] of [['#000', 3], ['#fff', 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.setLineDash(colour === '#fff' ? dash : []);
      context.strokeRect(-4, top - 0.5, this.overlay.width + 8, tall + 1);
    }
    context.setLineDash([]);
  }

  /** Ticks at both ends of the layer's row. */
  #pointAt(context, layer) {
    const band = layer < 0 ? undefined : this.#bands.bandOf[layer];
    if (band === undefined || band < 0) {
      return;
    }
    const y = Math.round((this.#bands.top[band] + this.#bands.top[band + 1]) / 2);
    for (const [colour, tall, wide] of [['#000', 4, 14], ['#fff', 2, 13]]) {
      context.fillStyle = colour;
      context.fillRect(0, y - tall / 2, wide, tall);
      context.fillRect(this.overlay.width - wide, y - tall / 2, wide, tall);
    }
  }

  #drawGutter() {
    const { blocks, count, start, members } = this.#rows;
    const height = this.stage.clientHeight;
    const rowHeight = height / Math.max(1, count);
    const focused = this.gutter.contains(document.activeElement) ? document.activeElement.dataset.block : null;
    const names = rowHeight >= NAMED_ROW && this.plot.clientWidth >= NAMED_WIDTH;
    this.plot.classList.toggle('named', names);
    this.gutter.replaceChildren();
    const place = (node, middle) => {
      node.style.top = `${Math.max(0, Math.min(middle - 7, height - 14))}px`;
      this.gutter.append(node);
    };
    let free = 0;
    for (const block of blocks) {
      const middle = (block.row + (names ? 0.5 : block.rows / 2)) * rowHeight;
      const end = (block.row + block.rows) * rowHeight;
      const at = Math.max(middle, free + 7);
      if (at > Math.max(middle + 7, end) || at > height - 6) {
        continue;
      }
      const button = element('button', { class: 'block' }, clean(block.name || '(no block)', 16));
      button.type = 'button';
      button.title = `${clean(block.name, 500)}: ${block.layers} layers. ${block.folded ? 'Unfold' : 'Fold into one row'}`;
      button.setAttribute('aria-expanded', String(!block.folded));
      button.dataset.block = block.name;
      button.addEventListener('click', () => this.fold(block.name));
      place(button, at);
      if (block.name === focused) {
        button.focus();
      }
      free = at + 8;
    }
    if (names) {
      for (const block of blocks) {
        for (let row = block.row; row < block.row + block.rows; row++) {
          const layer = this.#store.layers[members[start[row]]];
          const label = block.folded && block.layers > 1 ? `${block.layers} layers` : within(layer.name, block.name);
          const node = element('span', { class: 'layer' }, clean(label, 18));
          node.title = clean(layer.name, 500);
          place(node, (row + 0.5) * rowHeight);
        }
      }
    }
  }

  fold(block) {
    const folded = new Set(this.#view.get('folded'));
    if (!folded.delete(block)) {
      folded.add(block);
    }
    this.#view.set({ folded: [...folded] });
  }

  /** Names of all blocks. */
  get blocks() {
    return [...new Set(this.#store.layers.map((layer) => layer.block ?? ''))];
  }

  // Pointer and keys.

  #stepAt(x) {
    const ratio = this.#deviceWidth / this.stage.clientWidth;
    const step = this.#scale.step(x * ratio);
    if (this.#store.contains(step) || this.#stride === 1) {
      return step;
    }
    const near = this.#store.nearest(step);
    return near >= 0 && step - near < this.#stride && near <= step ? near : step;
  }

  #bandAt(y) {
    const at = (y * this.#deviceHeight) / this.stage.clientHeight;
    const { top, count } = this.#bands;
    let band = 0;
    while (band < count - 1 && top[band + 1] <= at) {
      band++;
    }
    return count === 0 ? -1 : band;
  }

  /** Of the layers that share the band the one that gives it its colour at the step. */
  #layerIn(band, step) {
    if (band < 0) {
      return -1;
    }
    const { start } = this.#bands;
    const { members } = this.#rows;
    let best = members[start[band]];
    if (start[band + 1] - start[band] === 1) {
      return best;
    }
    let loudest = -1;
    for (let i = start[band]; i < start[band + 1]; i++) {
      const code = this.#store.code(step, members[i]);
      const loud =
        code === NAN ? 1e9 : code === INF ? 1e8 : isValue(code) ? Math.abs(this.#store.deviation(step, members[i])) || 0 : 0.001;
      if (loud > loudest) {
        loudest = loud;
        best = members[i];
      }
    }
    return best;
  }

  #shared(step) {
    return this.#second ? step - this.#view.offset : step;
  }

  #hover(event) {
    if (this.#drag !== null) {
      this.#pull(event);
      return;
    }
    if (this.#scale === null) {
      return;
    }
    const step = this.#stepAt(event.offsetX);
    const layer = this.#layerIn(this.#bandAt(event.offsetY), step);
    const name = this.#store.layers[layer]?.name ?? null;
    this.#view.set({ hover: this.#shared(step), hoverLayer: name });
    this.#tell(event, this.#lines(step, layer));
  }

  #leave() {
    this.tip.hidden = true;
    if (this.#drag === null) {
      this.#view.set({ hover: null, hoverLayer: null });
    }
  }

  #press(event) {
    if (event.button !== 0) {
      return;
    }
    this.stage.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, to: this.#view.visible(this.#store).to, moved: false };
  }

  #pull(event) {
    const moved = event.clientX - this.#drag.x;
    if (!this.#drag.moved && Math.abs(moved) < 4) {
      return;
    }
    this.#drag.moved = true;
    this.tip.hidden = true;
    this.stage.classList.add('dragging');
    const perPixel = this.#view.get('span') / this.stage.clientWidth;
    this.pan(this.#drag.to - Math.round(moved * perPixel));
  }

  #release(event) {
    const drag = this.#drag;
    this.#cancel();
    if (drag !== null && !drag.moved && this.#scale !== null) {
      const step = this.#stepAt(event.offsetX);
      const layer = this.#layerIn(this.#bandAt(event.offsetY), step);
      this.#view.set({ cursor: this.#shared(step), layer: this.#store.layers[layer]?.name ?? null });
    }
  }

  #cancel() {
    this.#drag = null;
    this.stage.classList.remove('dragging');
  }

  #wheel(event) {
    if (event.ctrlKey || this.#scale === null) {
      return;
    }
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX || event.deltaY) * (this.#view.get('span') / this.stage.clientWidth);
      this.pan(this.#view.visible(this.#store).to + Math.round(by));
      return;
    }
    const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    this.zoom(1.0015 ** Math.max(-400, Math.min(400, pixels)), event.offsetX / this.stage.clientWidth);
  }

  /** The pane's last visible step becomes `to`; the newest or beyond is followed. */
  pan(to) {
    const span = this.#view.get('span');
    const key = this.#second ? 'to2' : 'to';
    const least = Math.max(span - 1, 0);
    this.#view.set({ [key]: to >= this.#store.last ? null : Math.max(to, least) });
  }

  /** Shows `factor` times as many steps; what is at `anchor` (0 left, 1 right) stays there unless the newest is followed. */
  zoom(factor, anchor = 1) {
    const view = this.#view;
    const old = view.get('span');
    const most = Math.min(MAX_SPAN * this.#stride, Math.max(MIN_SPAN, CAPACITY * this.#stride));
    const wish = Math.round(old * factor);
    const span = Math.max(MIN_SPAN, Math.min(most, wish === old ? old + Math.sign(factor - 1) : wish));
    const key = this.#second ? 'to2' : 'to';
    const change = { span };
    if (view.get(key) !== null) {
      const { from } = view.visible(this.#store);
      const to = Math.max(span - 1, Math.round(from + anchor * old - anchor * span) + span - 1);
      change[key] = to >= this.#store.last ? null : to;
    } else if (factor < 1 && anchor < 0.6) {
      const { from } = view.visible(this.#store);
      change[key] = Math.max(span - 1, Math.round(from + anchor * old - anchor * span) + span - 1);
    }
    view.set(change);
  }

  /** Back to the usual zoom at the newest step. */
  reset() {
    this.#view.set({ to: null, to2: null, span: 600 });
  }

  #typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.#scale === null) {
      return;
    }
    const view = this.#view;
    const { to } = view.visible(this.#store);
    const tenth = Math.max(1, Math.round(view.get('span') / 10));
    const keys = {
      ArrowLeft: () => (event.shiftKey ? this.pan(to - tenth) : this.#move(-1, 0)),
      ArrowRight: () => (event.shiftKey ? this.pan(to + tenth) : this.#move(1, 0)),
      ArrowUp: () => this.#move(0, event.shiftKey ? -10 : -1),
      ArrowDown: () => this.#move(0, event.shiftKey ? 10 : 1),
      PageUp: () => this.pan(to - view.get('span')),
      PageDown: () => this.pan(to + view.get('span')),
      Home: () => this.pan(0),
      End: () => this.pan(this.#store.last),
      '+': () => this.zoom(0.7),
      '=': () => this.zoom(0.7),
      '-': () => this.zoom(1 / 0.7),
      0: () => this.reset(),
      f: () => view.follow(),
      d: () => view.set({ mode: view.get('mode') === 'norm' ? 'deviation' : 'norm' }),
      Enter: () => this.#foldCursor(),
      Escape: () => view.set({ cursor: null, layer: null, incident: null, hover: null, hoverLayer: null }),
    };
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }

  #foldCursor() {
    const layer = this.#store.layers[this.#store.layerIndex(this.#view.get('layer'))];
    if (layer !== undefined) {
      this.fold(layer.block ?? '');
    }
  }

  #move(steps, rows) {
    const store = this.#store;
    const view = this.#view;
    const step = Math.max(0, Math.min(store.last, view.step(store) + steps * this.#stride));
    const { start, count, members } = this.#rows;
    const index = store.layerIndex(view.get('layer'));
    let row = -1;
    for (let r = 0; r < count && row < 0; r++) {
      for (let i = start[r]; i < start[r + 1]; i++) {
        if (members[i] === index) {
          row = r;
        }
      }
    }
    row = row < 0 ? Math.min(this.#keyRow, count - 1) : Math.max(0, Math.min(count - 1, row + rows));
    this.#keyRow = row;
    const layer = members[start[row]];
    const { from, to } = view.visible(store);
    const change = { cursor: this.#shared(step), layer: store.layers[layer]?.name ?? null, hover: null, hoverLayer: null };
    if (step < from || step > to) {
      this.pan(step < from ? step + view.get('span') - 1 : step);
    } else if (view.get('to') === null && !this.#second) {
      // The cursor would run off to the left while somebody reads.
      change.to = to;
    }
    view.set(change);
    this.spoken.textContent = this.#lines(step, layer).map(([name, value]) => `${name} ${value}`).join(', ');
  }

  /** What is known of a cell: pairs of name and value. */
  #lines(step, layer) {
    const store = this.#store;
    const lines = [['step', formatStep(step)]];
    if (layer < 0) {
      return lines;
    }
    lines.push(['layer', clean(store.layers[layer].name)]);
    if (!store.contains(step)) {
      lines.push(['norm', step > store.last ? 'not yet' : 'no record']);
      return lines;
    }
    const code = store.code(step, layer);
    const mark = markOf(code);
    lines.push(['norm', mark === null ? formatNorm(normOf(code)) : mark]);
    const off = store.deviation(step, layer);
    if (Number.isFinite(off)) {
      lines.push(['deviation', `${formatOctaves(off)} (${formatRatio(off)})`]);
    } else {
      const usual = store.baseline(step, layer);
      if (Number.isFinite(usual)) {
        lines.push(['usual', formatNorm(2 ** usual)]);
      }
    }
    return lines;
  }

  #tell(event, lines) {
    const tip = this.tip;
    tip.replaceChildren();
    for (const [name, value] of lines) {
      const line = element('div');
      line.append(element('span', { class: 'dim' }, `${name} `), element('span', { class: name === 'layer' ? 'name' : '' }, value));
      tip.append(line);
    }
    this.#place(event);
  }

  #place(event) {
    const tip = this.tip;
    tip.hidden = false;
    const box = this.root.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    tip.style.left = `${x + 16 + tip.offsetWidth > box.width ? x - tip.offsetWidth - 12 : x + 16}px`;
    tip.style.top = `${Math.max(0, Math.min(y + 14, box.height - tip.offsetHeight))}px`;
  }

  #barAt(x, y) {
    return this.#bars.findLast((bar) => x >= bar.left - 2 && x <= bar.right + 4 && y >= bar.top - 1 && y <= bar.bottom + 1);
  }

  #overIncident(event) {
    const bar = this.#barAt(event.offsetX, event.offsetY);
    this.above.style.cursor = bar ? 'pointer' : '';
    if (!bar) {
      this.tip.hidden = true;
      return;
    }
    const { incident } = bar;
    const lines = [
      ['', `${incident.severity.toLowerCase()} ${incident.kind}`],
      ['since step', formatStep(incident.onsetStep)],
    ];
    if (incident.rootLayer !== null) {
      lines.push(['layer', clean(incident.rootLayer)]);
    }
    if (incident.rootRank !== null) {
      lines.push(['rank', String(incident.rootRank)]);
    }
    lines.push(['', clean(incident.message, 160)]);
    this.#tell(event, lines);
  }

  #overEvent(event) {
    const x = event.offsetX;
    const near = event.offsetY < STRIP ? this.#events.findLast((e) => Math.abs(e.x - x) <= 5) : undefined;
    if (near !== undefined) {
      const { type, step, attributes } = near.event;
      const lines = [['', clean(type.toLowerCase())], ['after step', formatStep(step)]];
      for (const [name, value] of Object.entries(attributes ?? {}).slice(0, 8)) {
        lines.push([clean(name, 30), clean(value, 60)]);
      }
      this.#tell(event, lines);
      return;
    }
    const step = this.#scale === null ? -1 : this.#stepAt(x);
    if (!this.#store.contains(step)) {
      this.tip.hidden = true;
      return;
    }
    const value = (name) => this.#store.value(name, step);
    const lines = [['step', formatStep(step)], ['complete', `${(100 * value('completeness')).toFixed(1)} %`]];
    if (value('missing') > 0) {
      lines.push(['missing ranks', formatStep(value('missing'))]);
    }
    this.#tell(event, lines);
  }

  /** The line below the map: the cell under the pointer, or the pinned one. */
  #read() {
    const view = this.#view;
    const store = this.#store;
    const layer = store.layerIndex(view.get('hoverLayer') ?? view.get('layer'));
    const step = view.step(store);
    const lines = this.#lines(step, layer);
    const text = JSON.stringify(lines);
    if (this.readout.dataset.text === text) {
      return;
    }
    this.readout.dataset.text = text;
    this.readout.replaceChildren();
    for (const [name, value] of lines) {
      const item = element('span');
      item.append(element('span', { class: 'dim' }, `${name} `));
      const bad = name === 'norm' && ['NaN', 'Inf', 'missing'].includes(value);
      item.append(element('b', { class: name === 'layer' ? 'name' : bad ? 'bad' : '' }, value));
      this.readout.append(item);
    }
    if (layer < 0) {
      this.readout.append(element('span', { class: 'dim' }, 'Point at a cell to read it, click to pin it.'));
    }
  }
}

function button(text, title, act, signal) {
  const node = element('button', {}, text);
  node.type = 'button';
  node.title = title;
  node.setAttribute('aria-label', title);
  node.addEventListener('click', act, { signal });
  return node;
}

function swatch(mark) {
  const canvas = element('canvas');
  canvas.width = 16;
  canvas.height = 10;
  const context = canvas.getContext('2d');
  const image = new ImageData(16, 10);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0; y < 10; y++) {
    for (let x = 0; x < 16; x++) {
      pixels[y * 16 + x] = mark.pattern(x, y) ? mark.b : mark.a;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function drawLegend(legend, mode, ends) {
  legend.replaceChildren();
  const ramp = element('span', { class: 'ramp' });
  const bar = element('i');
  bar.style.backgroundImage = gradient(mode);
  if (mode === 'norm') {
    const [low, high] = (ends ?? [null, null]).map(formatNorm);
    ramp.append(element('span', {}, `L2 norm ≤ ${low}`), bar, element('span', {}, `≥ ${high}`));
  } else {
    const factor = 2 ** DEVIATION_OCTAVES;
    ramp.append(element('span', {}, `≤ usual ÷ ${factor}`), bar, element('span', {}, `≥ usual × ${factor}`));
  }
  legend.append(ramp);
  const shown = marks();
  for (const [key, name] of [['nan', 'NaN'], ['inf', 'Inf'], ['missing', 'missing'], ['zero', 'zero'], ['unplaced', 'no norm']]) {
    const item = element('span', { class: 'mark' });
    item.append(swatch(shown[key]), element('span', {}, name));
    legend.append(item);
  }
}

/** The heat map of one run, or of two side by side. */
export function mountHeat(root, page) {
  const { store, other, view, signal } = page;
  const head = element('div', { class: 'panel-head heat-head' });
  head.append(element('h2', {}, 'Gradient norm by layer and step'));
  const panes = element('div', { class: 'panes' });
  const built = [];

  const modes = element('div', { class: 'group' });
  modes.setAttribute('role', 'group');
  modes.setAttribute('aria-label', 'Colour shows');
  const norm = button('Norm', 'Colour shows the norm', () => view.set({ mode: 'norm' }), signal);
  const deviation = button(
    'Deviation', 'Colour shows the deviation from the usual norm of the layer (d)', () => view.set({ mode: 'deviation' }), signal,
  );
  modes.append(norm, deviation);

  const zooms = element('div', { class: 'group' });
  zooms.setAttribute('role', 'group');
  zooms.setAttribute('aria-label', 'Zoom');
  const live = button('Live', 'Follow the newest step (f)', () => view.follow(), signal);
  zooms.append(
    button('−', 'Show more steps (-)', () => built[0].zoom(1 / 0.7), signal),
    button('+', 'Show fewer steps (+)', () => built[0].zoom(0.7), signal),
    button('Reset', 'Usual zoom at the newest step (0)', () => built[0].reset(), signal),
    live,
  );

  const folds = element('div', { class: 'group' });
  folds.append(
    button('Fold all', 'Fold every block into one row', () => view.set({ folded: built.flatMap((pane) => pane.blocks) }), signal),
    button('Unfold', 'Show every layer', () => view.set({ folded: [] }), signal),
  );

  const filter = element('input');
  filter.type = 'search';
  filter.placeholder = 'Filter layers';
  filter.setAttribute('aria-label', 'Show only layers whose name contains');
  filter.value = view.get('filter');
  filter.addEventListener('input', () => view.set({ filter: filter.value.slice(0, 500) }), { signal });

  const legend = element('div', { class: 'legend' });
  head.append(modes, zooms, folds, filter, legend);
  root.append(head, panes);

  const legends = () => drawLegend(legend, view.get('mode'), built[0]?.ends ?? null);
  for (const [i, each] of (other === null ? [store] : [store, other]).entries()) {
    const holder = element('div', { class: 'pane' });
    panes.append(holder);
    if (other !== null) {
      holder.append(paneTitle(each, view, i === 1, signal));
    }
    built.push(new Pane(holder, { store: each, view, signal }, i === 1));
  }
  const press = () => {
    norm.setAttribute('aria-pressed', String(view.get('mode') === 'norm'));
    deviation.setAttribute('aria-pressed', String(view.get('mode') === 'deviation'));
    live.setAttribute('aria-pressed', String(view.get('to') === null));
    if (document.activeElement !== filter) {
      filter.value = view.get('filter');
    }
  };
  press();
  legends();
  view.addEventListener(
    'change',
    (event) => {
      press();
      if (event.changed.has('mode') || event.changed.has('theme')) {
        legends();
      }
    },
    { signal },
  );
  root.addEventListener('range', legends, { signal });
}

function paneTitle(store, view, second, signal) {
  const title = element('div', { class: 'pane-title' });
  title.append(named(store.run, 60), element('span', { class: 'dim' }, clean(store.stream, 20)));
  if (second) {
    title.append(button('×', 'End the comparison', () => view.set({ run2: null, to2: null }, { push: true }), signal));
  }
  return title;
}
