/** The heat map of one store with its strips, names and cursor. */

import { INF, NAN, isValue } from './cells.js';
import { ink, scheme } from './colours.js';
import { element } from './forms.js';
import { eachFrame, wake } from './frames.js';
import { Gestures } from './gestures.js';
import { Raster } from './raster.js';
import { layBands, layRows } from './rows.js';
import { StepScale, clean, formatStep } from './scale.js';
import { ABOVE_HEIGHT, BELOW_HEIGHT, BELOW_NAMES, STRIP, drawBelow, drawIncidents } from './strips.js';
import { Tip, cellLines } from './tip.js';

/** What is read and not seen changes at most this often. */
const READABLE_MS = 250;

/** Octaves at the ends of the scale of deviations. */
export const DEVIATION_OCTAVES = 3;

/** Heights of rows and widths of panes, in CSS pixels, from which on rows bear the names of their layers. */
const NAMED_ROW = 13;
const NAMED_WIDTH = 640;

const LOG10_CODE = Math.log10(2) / 128;

/** A layer's name without that of its block in front. */
function within(name, block) {
  return name.startsWith(`${block}.`) ? name.slice(block.length + 1) : name;
}

/** One pane: a store's map with its strips. */
export class Pane {
  #store;
  #view;
  #signal;
  #raster;
  #tip;
  #rows = null;
  #bands = null;
  #look = null;
  #key = '';
  #range = null;
  #rangeAt = 0;
  #compose = true;
  #decorate = true;
  #overlayDue = true;
  #railAt = 0;
  #decoratedAt = 0;
  #pointed = true;
  #bars = [];
  #events = [];
  #deviceWidth = 0;
  #deviceHeight = 0;
  #keyRow = 0;

  constructor(root, page) {
    this.#store = page.store;
    this.#view = page.view;
    this.#signal = page.signal;
    this.#raster = new Raster(page.store);
    this.#build(root);
    this.#listen();
    new Gestures(this, page, this.#tip);
    eachFrame((now) => this.#frame(now), page.signal);
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
    this.root.append(plot, this.readout, this.spoken);
    this.#tip = new Tip(this.root);
    root.append(this.root);
  }

  #listen() {
    const on = (target, type, listener, options = {}) =>
      target.addEventListener(type, listener, { signal: this.#signal, ...options });
    on(this.#store, 'change', (event) => this.#stored(event));
    on(this.#view, 'change', (event) => this.#viewed(event));
    on(this.above, 'pointermove', (event) => this.#overIncident(event));
    on(this.above, 'pointerleave', () => this.#tip.hide());
    on(this.above, 'click', (event) => {
      const bar = this.#barAt(event.offsetX, event.offsetY);
      if (bar) {
        this.#view.set({ incident: bar.incident.incidentId });
      }
    });
    on(this.below, 'pointermove', (event) => this.#overEvent(event));
    on(this.below, 'pointerleave', () => this.#tip.hide());
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
      this.#raster.touch(event.from, event.to);
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
    if (this.#raster.paint(this.#look) || this.#compose) {
      this.#raster.draw(this.base, this.#look.scale);
      this.#compose = false;
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
      this.#raster.lay(this.#bands, width, height);
      this.#drawGutter();
      this.#decorate = true;
      this.#overlayDue = true;
      this.#key = '';
    }
    const { stride } = this.#store;
    const { from, to } = view.visible(this.#store);
    const scale = new StepScale(from, to, width);
    const mode = view.get('mode');
    const { low, high } = this.#findRange(now, stride);
    const key = `${scale.perPixel} ${mode} ${low} ${high} ${scheme()} ${stride}`;
    const before = this.#look?.scale ?? null;
    if (key !== this.#key) {
      this.#raster.turn(fresh || before === null ? null : this.base, before);
      this.#key = key;
      this.#compose = true;
    }
    if (before?.firstColumn !== scale.firstColumn || before.perPixel !== scale.perPixel) {
      this.#compose = true;
      this.#overlayDue = true;
    }
    this.#look = { scale, mode, stride, low, high };
  }

  /** Ends of the colour scale in codes: half decades around what layers usually have. */
  #findRange(now, stride) {
    if (this.#view.get('mode') === 'deviation') {
      return { low: -DEVIATION_OCTAVES * 128, high: DEVIATION_OCTAVES * 128 };
    }
    if (this.#range !== null && now - this.#rangeAt < 2000) {
      return this.#range;
    }
    this.#rangeAt = now;
    const { from, to } = this.#view.visible(this.#store);
    const usual = this.#usual(from, to, stride);
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
  #usual(from, to, stride) {
    const rows = [];
    const jump = Math.max(1, Math.floor((to - from) / 40));
    for (let step = to; step >= from && rows.length < 40; step -= jump) {
      const row = this.#store.row(stride === 1 ? step : this.#store.nearest(step));
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

  /** Strips are drawn in CSS pixels. */
  #drawStrips() {
    const width = this.stage.clientWidth;
    const ratio = this.#deviceWidth / width;
    const { scale, stride } = this.#look;
    const soft = {
      from: scale.from,
      to: scale.to,
      perPixel: scale.perPixel * ratio,
      x: (step) => scale.x(step) / ratio,
    };
    const incident = this.#view.get('incident');
    this.#bars = drawIncidents(this.aboveCanvas, soft, width, this.#store.incidents, this.#store.last, incident);
    this.#events = drawBelow(this.belowCanvas, soft, width, this.#store, stride);
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
    const seen = this.#raster.seen(this.#look.scale);
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

  #describe() {
    const store = this.#store;
    const { from, to } = this.#look.scale;
    const seen = this.#raster.seen(this.#look.scale);
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
    const { scale, stride } = this.#look;
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
      const wide = Math.max(1, stride / scale.perPixel);
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
    const { from, to } = this.#look.scale;
    this.#store.each(from, to, (chunk, row, step) => {
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

  // What is under the pointer or the cursor.

  /** Whether there is a picture that can be pointed at. */
  get isShown() {
    return this.#look !== null;
  }

  /** The step and the index of the layer, -1 for none, at the pointer; null before there is a picture. */
  cellAt(event) {
    if (!this.isShown) {
      return null;
    }
    const step = this.#stepAt(event.offsetX);
    return { step, layer: this.#layerIn(this.#bandAt(event.offsetY), step) };
  }

  #stepAt(x) {
    const ratio = this.#deviceWidth / this.stage.clientWidth;
    const { scale, stride } = this.#look;
    const step = scale.step(x * ratio);
    if (this.#store.contains(step) || stride === 1) {
      return step;
    }
    const near = this.#store.nearest(step);
    return near >= 0 && step - near < stride && near <= step ? near : step;
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

  /** The first layer of the row so many rows below that of a layer; of the row last found, if the layer is in none. */
  layerFrom(index, rows) {
    const { start, count, members } = this.#rows;
    let row = -1;
    for (let r = 0; r < count && row < 0; r++) {
      for (let i = start[r]; i < start[r + 1]; i++) {
        if (members[i] === index) {
          row = r;
        }
      }
    }
    this.#keyRow = row < 0 ? Math.min(this.#keyRow, count - 1) : Math.max(0, Math.min(count - 1, row + rows));
    return members[start[this.#keyRow]];
  }

  /** Says the lines of a cell to those who listen. */
  speak(lines) {
    this.spoken.textContent = lines.map(([name, value]) => `${name} ${value}`).join(', ');
  }

  #barAt(x, y) {
    return this.#bars.findLast((bar) => x >= bar.left - 2 && x <= bar.right + 4 && y >= bar.top - 1 && y <= bar.bottom + 1);
  }

  #overIncident(event) {
    const bar = this.#barAt(event.offsetX, event.offsetY);
    this.above.style.cursor = bar ? 'pointer' : '';
    if (!bar) {
      this.#tip.hide();
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
    this.#tip.show(event, lines);
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
      this.#tip.show(event, lines);
      return;
    }
    const step = !this.isShown ? -1 : this.#stepAt(x);
    if (!this.#store.contains(step)) {
      this.#tip.hide();
      return;
    }
    const value = (name) => this.#store.value(name, step);
    const lines = [['step', formatStep(step)], ['complete', `${(100 * value('completeness')).toFixed(1)} %`]];
    if (value('missing') > 0) {
      lines.push(['missing ranks', formatStep(value('missing'))]);
    }
    this.#tip.show(event, lines);
  }

  /** The line below the map: the cell under the pointer, or the pinned one. */
  #read() {
    const view = this.#view;
    const store = this.#store;
    const layer = store.layerIndex(view.get('hoverLayer') ?? view.get('layer'));
    const step = view.step(store);
    const lines = cellLines(store, step, layer);
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
