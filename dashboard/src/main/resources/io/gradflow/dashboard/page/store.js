/** What is known of one run's stream: steps, cells, incidents, events; kept current by one event stream for all. */

import * as api from './api.js';
import { INF, MISSING, PER_OCTAVE, isValue } from './cells.js';
import { Blocks } from './pyramid.js';

export const CLOSED_BY = ['COMPLETE', 'QUORUM', 'TIMEOUT', 'FINISHED'];

/** Steps of a chunk. */
export const CHUNK = 256;

/** Steps held at most, and those of chunks that are needed in part: at both ends of what is looked at, and the newest. */
export const CAPACITY = 10_000;
export const SLACK = 3 * CHUNK;

const CELLS_AT_ONCE = 2000;
const EVENTS_KEPT = 2000;
const DETAILS_KEPT = 16;

/** Memory of the baseline per step. */
export const MEMORY = 0.98;

/** Steps after which the memory has nothing left to say. */
const BASELINE_STEPS = 400;

const NUMBERS = [
  'attempt', 'completeness', 'late', 'globalNorm', 'loss', 'validationLoss', 'learningRate', 'lossScale', 'clipCoef',
  'weight', 'skipped', 'missing', 'dropped', 'lagMs', 'histograms', 'writtenAt', 'closedBy', 'nonFinite',
];

function number(name, value) {
  if (name === 'closedBy') {
    return CLOSED_BY.indexOf(value);
  }
  return value === null || value === undefined ? NaN : Number(value);
}

/** Up to CHUNK steps with their scalars and cells; rows stand in the order of arrival. */
class Chunk {
  constructor(base, layers) {
    this.base = base;
    this.layers = layers;
    this.rows = 0;
    this.slots = new Int16Array(CHUNK).fill(-1);
    this.cells = new Int16Array(0);
    this.columns = Object.fromEntries(NUMBERS.map((name) => [name, new Float64Array(0)]));
    this.whole = false;
    this.norms = null;
    this.deviations = null;
  }

  put(step) {
    const slot = step - this.base;
    let row = this.slots[slot];
    if (row < 0) {
      row = this.rows++;
      this.slots[slot] = row;
      if (row * this.layers >= this.cells.length || row >= this.columns.attempt.length) {
        this.#grow(Math.min(CHUNK, Math.max(16, row * 2)));
      }
    }
    return row;
  }

  #grow(rows) {
    const cells = new Int16Array(rows * this.layers).fill(MISSING, this.cells.length);
    cells.set(this.cells);
    this.cells = cells;
    for (const name of NUMBERS) {
      const column = new Float64Array(rows).fill(NaN);
      column.set(this.columns[name]);
      this.columns[name] = column;
    }
  }

  row(step) {
    return this.slots[step - this.base];
  }

  /** Forgets the steps at and above `from`; their rows stay unused. */
  cut(from) {
    this.slots.fill(-1, Math.max(0, from - this.base));
  }
}

/** Sent at most once a frame. */
export class StoreChange extends Event {
  constructor(kinds, from, to) {
    super('change');
    this.kinds = kinds;
    this.from = from;
    this.to = to;
  }
}

export class RunStore extends EventTarget {
  #chunks = new Map();
  #bases = [];
  #index = new Map();
  #details = new Map();
  #wholeFrom = Infinity;
  #fetching = new Set();
  #waiting = [];
  #load = null;
  #told = new Map();
  #kinds = new Set();
  #from = Infinity;
  #to = -Infinity;
  #keep = null;
  #scheduled = false;

  constructor(run, stream) {
    super();
    this.run = run;
    this.stream = stream;
    this.manifest = null;
    this.layers = [];
    this.incidents = new Map();
    this.events = [];
    this.connection = 'connecting';
    this.pulse = null;
    this.loading = 0;
    this.error = null;
    this.first = -1;
    this.last = -1;
  }

  // Reading.

  layerIndex(name) {
    return this.#index.get(name) ?? -1;
  }

  #chunk(step) {
    return this.#chunks.get(Math.floor(step / CHUNK) * CHUNK);
  }

  contains(step) {
    const chunk = this.#chunk(step);
    return chunk !== undefined && chunk.row(step) >= 0;
  }

  /** Nearest step held at or before, else the next one after; -1 while none is held. */
  nearest(step) {
    if (this.contains(step)) {
      return step;
    }
    let after = -1;
    for (let i = this.#bases.length - 1; i >= 0; i--) {
      const chunk = this.#chunks.get(this.#bases[i]);
      for (let slot = CHUNK - 1; slot >= 0; slot--) {
        if (chunk.slots[slot] >= 0) {
          const held = chunk.base + slot;
          if (held <= step) {
            return held;
          }
          after = held;
        }
      }
    }
    return after;
  }

  /** Layers' codes at a step as a view into the store, or null. */
  row(step) {
    const chunk = this.#chunk(step);
    const row = chunk === undefined ? -1 : chunk.row(step);
    return row < 0 ? null : chunk.cells.subarray(row * chunk.layers, (row + 1) * chunk.layers);
  }

  code(step, layer) {
    const chunk = this.#chunk(step);
    const row = chunk === undefined ? -1 : chunk.row(step);
    return row < 0 || layer < 0 ? MISSING : chunk.cells[row * chunk.layers + layer];
  }

  /** A scalar of the step; NaN: unknown. */
  value(name, step) {
    const chunk = this.#chunk(step);
    const row = chunk === undefined ? -1 : chunk.row(step);
    return row < 0 ? NaN : chunk.columns[name][row];
  }

  /** Calls `visit(chunk, row, step)` for each step held within [from, to], ascending. */
  each(from, to, visit) {
    for (const base of this.#bases) {
      if (base + CHUNK > from && base <= to) {
        const chunk = this.#chunks.get(base);
        const end = Math.min(CHUNK - 1, to - base);
        for (let slot = Math.max(0, from - base); slot <= end; slot++) {
          const row = chunk.slots[slot];
          if (row >= 0) {
            visit(chunk, row, base + slot);
          }
        }
      }
    }
  }

  /** Scalars of the steps held within [from, to], ascending, as typed arrays by name and `step`. */
  columns(names, from, to) {
    let count = 0;
    this.each(from, to, () => count++);
    const result = { step: new Float64Array(count) };
    for (const name of names) {
      result[name] = new Float64Array(count);
    }
    let i = 0;
    this.each(from, to, (chunk, row, step) => {
      result.step[i] = step;
      for (const name of names) {
        result[name][i] = chunk.columns[name][row];
      }
      i++;
    });
    return result;
  }

  /** One layer's codes of the steps held within [from, to], ascending. */
  layerSeries(layer, from, to) {
    const steps = [];
    const codes = [];
    this.each(from, to, (chunk, row, step) => {
      steps.push(step);
      codes.push(chunk.cells[row * chunk.layers + layer]);
    });
    return { step: Float64Array.from(steps), code: Int16Array.from(codes) };
  }

  /** log2 norm expected from the finite values before the step, or NaN. */
  baseline(step, layer) {
    let sum = 0;
    let weight = 0;
    this.each(step - BASELINE_STEPS, step - 1, (chunk, row) => {
      const code = chunk.cells[row * chunk.layers + layer];
      if (isValue(code)) {
        sum = sum * MEMORY + code;
        weight = weight * MEMORY + 1;
      }
    });
    return weight === 0 ? NaN : sum / weight / PER_OCTAVE;
  }

  /** Octaves between the norm and its baseline, or NaN. */
  deviation(step, layer) {
    const code = this.code(step, layer);
    return isValue(code) ? code / PER_OCTAVE - this.baseline(step, layer) : NaN;
  }

  /** Steps between one that is published and the next, by the last few. */
  get stride() {
    let before = NaN;
    let stride = Infinity;
    this.each(this.last - 20 * CHUNK, this.last, (chunk, row, step) => {
      stride = Math.min(stride, step - before || Infinity);
      before = step;
    });
    return Number.isFinite(stride) ? stride : 1;
  }

  /** Whether all that was published at the step is held. */
  whole(step) {
    return step >= this.first && step <= this.last && (step >= this.#wholeFrom || this.#chunk(step)?.whole === true);
  }

  /** Steps a second over the last few steps; NaN while unknown. */
  get stepRate() {
    const times = this.columns(['writtenAt'], this.last - 60, this.last).writtenAt.filter(Number.isFinite);
    if (times.length < 2) {
      return NaN;
    }
    const seconds = (times[times.length - 1] - times[0]) / 1000;
    return seconds > 0 ? (times.length - 1) / seconds : NaN;
  }

  /** Everything of one step, from the server; the last few answers are kept. */
  detail(step) {
    let answer = this.#details.get(step);
    if (answer === undefined) {
      answer = api.get('step', { run: this.run, stream: this.stream, step });
      answer.catch(() => this.#details.delete(step));
      if (this.#details.size >= DETAILS_KEPT) {
        this.#details.delete(this.#details.keys().next().value);
      }
      this.#details.set(step, answer);
    }
    return answer;
  }

  /** Chunks that overlap [from, to], ascending, with `norms` (and `deviations` when asked) up to date. */
  blocks(from, to, { deviation = false } = {}) {
    const found = [];
    for (const base of this.#bases) {
      if (base + CHUNK > from && base <= to) {
        const chunk = this.#chunks.get(base);
        chunk.norms ??= new Blocks(CHUNK, chunk.layers);
        chunk.norms.update(chunk.slots, chunk.cells);
        if (deviation) {
          this.#deviate(chunk);
        }
        found.push(chunk);
      }
    }
    return found;
  }

  #deviate(chunk) {
    chunk.deviations ??= new Deviations(chunk.layers);
    chunk.deviations.update(chunk, (visit) =>
      this.each(chunk.base - BASELINE_STEPS, chunk.base - 1, (before, row) => visit(before.cells, row * before.layers)),
    );
  }

  // Filling.

  /** Loads all anew; what arrives meanwhile through the event stream wins over what is fetched. */
  async load() {
    this.#load?.abort();
    const load = new AbortController();
    this.#load = load;
    const { signal } = load;
    const key = { run: this.run, stream: this.stream };
    this.loading = 0;
    this.#told.clear();
    this.#touch('loading');
    try {
      const manifest = await api.get('manifest', key, { signal });
      this.#clear();
      this.#manifest(manifest);
      this.error = null;
      this.#details.clear();
      for (const wait of this.#waiting.splice(0)) {
        this.#step(wait);
      }
      const [newest, incidents, events] = await Promise.all([
        this.#fetch(key, null, null, signal),
        api.get('incidents', key, { signal }),
        api.get('run-events', key, { signal }),
      ]);
      for (const event of events) {
        this.#event(event);
      }
      // What has been told meanwhile is later than what was asked for.
      this.incidents = new Map([...incidents.map((incident) => [incident.incidentId, incident]), ...this.#told]);
      this.#touch('incidents');
      let low = newest;
      this.#wholeFrom = low;
      this.loading = 0.25;
      this.#touch('loading');
      while (low > 0 && this.#held() < CAPACITY && this.#wholeFrom === low) {
        const next = await this.#fetch(key, null, low - 1, signal);
        if (next >= low) {
          break;
        }
        low = next;
        this.#wholeFrom = low;
        this.#evict();
        this.loading = Math.min(0.95, this.loading + 0.15);
        this.#touch('loading');
      }
      this.loading = 1;
      this.#touch('loading');
    } catch (error) {
      if (!signal.aborted) {
        this.error = error.message;
        this.loading = error.status === 404 ? 1 : this.loading;
        this.#touch('loading');
        if (error.status !== 404) {
          setTimeout(() => !signal.aborted && this.load(), 3000);
        }
      }
    }
  }

  /** No more fetches. */
  close() {
    this.#load?.abort();
    this.#chunks.clear();
    this.#bases = [];
  }

  #manifest(manifest) {
    const other = this.manifest === null || manifest.manifestId !== this.manifest.manifestId;
    this.manifest = manifest;
    this.layers = manifest.layers;
    this.#index = new Map(manifest.layers.map((layer, i) => [layer.name, i]));
    if (other) {
      this.#touch('manifest');
    }
  }

  #clear() {
    if (this.first >= 0) {
      this.#touch('steps', this.first, this.last);
    }
    this.#chunks.clear();
    this.#bases = [];
    this.events = [];
    this.#fetching.clear();
    this.#wholeFrom = Infinity;
    this.first = -1;
    this.last = -1;
  }

  /** Fetches scalars and cells of [from, to] (null: open); the lowest step asked for, or got when open. */
  async #fetch(key, from, to, signal) {
    const span = { ...key, from, to };
    const buffer = await api.bytes('cells', span, { signal });
    const head = new DataView(buffer);
    if (head.getUint32(0, true) !== 0x31464347) {
      throw new Error('cells: expected GCF1, got something else; reload the page');
    }
    const layers = head.getUint32(4, true);
    const count = head.getUint32(8, true);
    const steps = new Float64Array(buffer, 16, count);
    if (count === 0) {
      return to === null ? 0 : to + 1;
    }
    const scalars = await api.get('steps', { ...key, from: steps[0], to: steps[count - 1] }, { signal });
    const at = new Map(scalars.step.map((step, i) => [step, i]));
    if (layers === this.layers.length) {
      const cells = new Int16Array(buffer, 16 + 8 * count, count * layers);
      for (let i = 0; i < count; i++) {
        if (!this.contains(steps[i])) {
          const j = at.get(steps[i]);
          this.#write(steps[i], cells.subarray(i * layers, (i + 1) * layers), (name) =>
            j === undefined ? NaN : number(name, scalars[name]?.[j]),
          );
        }
      }
      this.#touch('steps', steps[0], steps[count - 1]);
    }
    return steps[0];
  }

  #write(step, cells, scalar) {
    const base = Math.floor(step / CHUNK) * CHUNK;
    let chunk = this.#chunks.get(base);
    if (chunk === undefined) {
      chunk = new Chunk(base, this.layers.length);
      this.#chunks.set(base, chunk);
      this.#bases.push(base);
      this.#bases.sort((a, b) => a - b);
    }
    const row = chunk.put(step);
    chunk.cells.set(cells, row * chunk.layers);
    let broken = 0;
    for (let i = 0; i < cells.length; i++) {
      if (cells[i] >= INF) {
        broken = 1;
        break;
      }
    }
    for (const name of NUMBERS) {
      chunk.columns[name][row] = name === 'nonFinite' ? broken : scalar(name);
    }
    chunk.norms?.dirty(step - base);
    this.#undeviate(base, step - base);
    if (this.first < 0 || step < this.first) {
      this.first = step;
    }
    if (step > this.last) {
      this.last = step;
    }
  }

  /** The deviations of what rests on the slot are out of date. */
  #undeviate(base, slot) {
    if (this.#chunks.get(base).deviations?.dirty(slot) !== false) {
      for (let later = base + CHUNK; later < base + CHUNK + BASELINE_STEPS; later += CHUNK) {
        this.#chunks.get(later)?.deviations?.dirty(0);
      }
    }
  }

  /**
   * Steps someone looks at: kept in memory while others go, and fetched when they are not there. Of more than memory holds, the
   * last.
   */
  want(first, to) {
    const from = Math.max(first, Math.min(to, this.last) - CAPACITY * this.stride + 1);
    this.#keep = { from, to };
    if (this.#wholeFrom === Infinity) {
      // Not even the newest are there: what is old is asked for after them.
      return;
    }
    const low = Math.max(0, Math.floor(from / CHUNK) * CHUNK);
    const high = Math.min(to, this.#wholeFrom - 1);
    for (let base = Math.floor(high / CHUNK) * CHUNK; base >= low; base -= CHUNK) {
      if (!this.#chunks.get(base)?.whole && !this.#fetching.has(base)) {
        this.#older(base, low);
        return;
      }
    }
  }

  async #older(base, low) {
    let from = base;
    while (from - CHUNK >= low && base - from + 2 * CHUNK <= CELLS_AT_ONCE && !this.#chunks.get(from - CHUNK)?.whole) {
      from -= CHUNK;
    }
    const bases = [];
    for (let b = from; b <= base; b += CHUNK) {
      this.#fetching.add(b);
      bases.push(b);
    }
    const { signal } = this.#load;
    try {
      await this.#fetch({ run: this.run, stream: this.stream }, from, base + CHUNK - 1, signal);
      for (const b of bases) {
        const chunk = this.#chunks.get(b);
        if (chunk !== undefined) {
          chunk.whole = true;
          this.#fetching.delete(b);
        }
        // Else nothing is there to be had: it stays among those asked for.
      }
      this.#evict();
    } catch {
      setTimeout(() => bases.forEach((b) => this.#fetching.delete(b)), 3000);
      return;
    }
    if (this.#keep !== null) {
      this.want(this.#keep.from, this.#keep.to);
    }
  }

  #held() {
    let held = 0;
    for (const chunk of this.#chunks.values()) {
      held += chunk.rows;
    }
    return held;
  }

  #evict() {
    let held = this.#held();
    const keep = this.#keep ?? { from: this.last, to: this.last };
    while (held > CAPACITY + SLACK) {
      const newest = this.#bases[this.#bases.length - 1];
      const far = (base) => (base > keep.to ? base - keep.to : keep.from - (base + CHUNK - 1));
      let worst = -1;
      for (const base of this.#bases) {
        // Of what joins the newest step without a gap, only the oldest chunk may go.
        const free = base < this.#wholeFrom || base === Math.floor(this.#wholeFrom / CHUNK) * CHUNK;
        if (base !== newest && free && far(base) > 0 && (worst < 0 || far(base) > far(worst))) {
          worst = base;
        }
      }
      if (worst < 0) {
        worst = this.#bases.find((base) => far(base) > 0 && base !== newest) ?? -1;
      }
      if (worst < 0) {
        // All of it is looked at: no more than a page shows at once.
        return;
      }
      held -= this.#chunks.get(worst).rows;
      this.#chunks.delete(worst);
      this.#fetching.delete(worst);
      this.#bases.splice(this.#bases.indexOf(worst), 1);
      if (worst + CHUNK > this.#wholeFrom) {
        for (const base of this.#bases) {
          if (base >= this.#wholeFrom && base < worst) {
            this.#chunks.get(base).whole = true;
          }
        }
        this.#wholeFrom = worst + CHUNK;
      }
      this.#bounds();
    }
  }

  #bounds() {
    this.first = -1;
    this.last = -1;
    this.each(-Infinity, Infinity, (chunk, row, step) => {
      this.first = this.first < 0 ? step : this.first;
      this.last = step;
    });
  }

  // The event stream.

  /** Takes one event of the stream. */
  take(type, data) {
    switch (type) {
      case 'hello':
      case 'reset':
        this.load();
        break;
      case 'manifest':
        this.load();
        break;
      case 'step':
        this.#step(data);
        break;
      case 'rewind':
        this.#rewind(data.from);
        break;
      case 'incident':
        this.#incident(data);
        break;
      case 'verdict': {
        const incident = this.incidents.get(data.incidentId);
        if (incident !== undefined) {
          const { verdict, by, at, note } = data;
          this.#incident({ ...incident, verdict: verdict ? { verdict, by, at, note } : null });
        }
        break;
      }
      case 'event':
        this.#event(data);
        break;
      case 'pulse':
        this.pulse = data;
        this.#touch('pulse');
        break;
    }
  }

  #incident(incident) {
    this.incidents.set(incident.incidentId, incident);
    if (this.loading < 1) {
      this.#told.set(incident.incidentId, incident);
    }
    this.#touch('incidents');
  }

  #event(data) {
    const known = this.events.some((e) => e.type === data.type && e.step === data.step && e.at === data.at);
    if (!known) {
      this.events.push(data);
      this.events.sort((a, b) => a.step - b.step || a.at - b.at);
      this.events.splice(0, this.events.length - EVENTS_KEPT);
      this.#touch('events');
    }
  }

  #step(data) {
    if (this.manifest === null) {
      if (this.#waiting.length < CHUNK) {
        this.#waiting.push(data);
      }
      return;
    }
    if (data.layers !== this.layers.length) {
      // A manifest event is on its way.
      return;
    }
    const raw = atob(data.cells);
    const octets = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) {
      octets[i] = raw.charCodeAt(i);
    }
    this.#write(data.step, new Int16Array(octets.buffer), (name) => number(name, data[name]));
    this.#details.delete(data.step);
    this.#touch('steps', data.step, data.step);
    this.#evict();
  }

  #rewind(from) {
    if (this.loading < 1 || [...this.#fetching].some((base) => base + CHUNK > from)) {
      // What is being fetched may hold steps that are void by now.
      this.load();
      return;
    }
    const last = this.last;
    for (const base of [...this.#bases]) {
      if (base >= from) {
        this.#chunks.delete(base);
        this.#bases.splice(this.#bases.indexOf(base), 1);
      } else if (base + CHUNK > from) {
        const chunk = this.#chunks.get(base);
        this.#chunks.set(base, without(chunk, from));
      }
    }
    this.#details.clear();
    this.events = this.events.filter((event) => event.step < from);
    this.#bounds();
    this.#wholeFrom = Math.min(this.#wholeFrom, from);
    this.#touch('events');
    this.#touch('steps', from, Math.max(from, last));
  }

  /** Says how the event stream is. */
  connected(state) {
    if (this.connection !== state) {
      this.connection = state;
      this.#touch('connection');
    }
  }

  #touch(kind, from = Infinity, to = -Infinity) {
    this.#kinds.add(kind);
    this.#from = Math.min(this.#from, from);
    this.#to = Math.max(this.#to, to);
    if (!this.#scheduled) {
      this.#scheduled = true;
      requestAnimationFrame(() => {
        this.#scheduled = false;
        const change = new StoreChange(this.#kinds, this.#from, this.#to);
        this.#kinds = new Set();
        this.#from = Infinity;
        this.#to = -Infinity;
        this.dispatchEvent(change);
      });
    }
  }
}

function without(chunk, from) {
  const kept = new Chunk(chunk.base, chunk.layers);
  for (let step = chunk.base; step < from; step++) {
    const row = chunk.row(step);
    if (row >= 0) {
      const to = kept.put(step);
      kept.cells.set(chunk.cells.subarray(row * chunk.layers, (row + 1) * chunk.layers), to * chunk.layers);
      for (const name of NUMBERS) {
        kept.columns[name][to] = chunk.columns[name][row];
      }
    }
  }
  kept.whole = chunk.whole;
  return kept;
}

/** Deviations of a chunk's cells from their baselines, in codes, marks as they are. */
class Deviations {
  #next = 0;

  constructor(layers) {
    this.cells = new Int16Array(0);
    this.blocks = new Blocks(CHUNK, layers);
    this.sum = new Float32Array(layers);
    this.weight = new Float32Array(layers);
  }

  /** The slot has changed; whether what has been computed rests on it. */
  dirty(slot) {
    if (slot >= this.#next) {
      return false;
    }
    this.#next = 0;
    return true;
  }

  /** Computes what is new; `before` calls its argument with cells and offset of each earlier step that counts. */
  update(chunk, before) {
    const { layers } = chunk;
    if (this.cells.length < chunk.cells.length) {
      const cells = new Int16Array(chunk.cells.length);
      cells.set(this.cells);
      this.cells = cells;
    }
    if (this.#next === 0) {
      this.sum.fill(0);
      this.weight.fill(0);
      before((cells, at) => this.#remember(cells, at, layers));
    }
    let next = this.#next;
    for (let slot = next; slot < CHUNK; slot++) {
      const row = chunk.slots[slot];
      if (row >= 0) {
        this.#measure(chunk.cells, row * layers, layers);
        this.#remember(chunk.cells, row * layers, layers);
        this.blocks.dirty(slot);
        next = slot + 1;
      }
    }
    this.#next = next;
    this.blocks.update(chunk.slots, this.cells);
  }

  #measure(cells, at, layers) {
    const { sum, weight } = this;
    for (let i = 0; i < layers; i++) {
      const code = cells[at + i];
      if (!isValue(code)) {
        this.cells[at + i] = code;
      } else if (weight[i] === 0) {
        this.cells[at + i] = 0;
      } else {
        const off = Math.round(code - sum[i] / weight[i]);
        this.cells[at + i] = off > 32000 ? 32000 : off < -32000 ? -32000 : off;
      }
    }
  }

  #remember(cells, at, layers) {
    const { sum, weight } = this;
    for (let i = 0; i < layers; i++) {
      const code = cells[at + i];
      if (isValue(code)) {
        sum[i] = sum[i] * MEMORY + code;
        weight[i] = weight[i] * MEMORY + 1;
      }
    }
  }
}

const TYPES = ['hello', 'step', 'rewind', 'incident', 'verdict', 'event', 'manifest', 'reset', 'pulse'];
const SILENT_MS = 10_000;

/** The one event stream of the page; resumes where it broke off. */
export class Live {
  #source = null;
  #stores = [];
  #id = null;
  #heard = 0;
  #timer = 0;

  /** Follows these stores from now on, the stores before them no longer. */
  follow(stores) {
    this.#stores = stores;
    this.#id = null;
    this.#open();
  }

  #open() {
    this.#source?.close();
    clearTimeout(this.#timer);
    if (this.#stores.length === 0) {
      return;
    }
    const query = new URLSearchParams();
    const seen = new Set();
    for (const { run, stream } of this.#stores) {
      const key = JSON.stringify([run, stream]);
      if (!seen.has(key)) {
        seen.add(key);
        const place = seen.size === 1 ? '' : seen.size;
        query.set(`run${place}`, run);
        query.set(`stream${place}`, stream);
      }
    }
    if (this.#id !== null) {
      query.set('after', this.#id);
    }
    const source = new EventSource(`/api/events?${query}`);
    this.#source = source;
    this.#heard = performance.now();
    source.addEventListener('open', () => {
      this.#heard = performance.now();
      this.#say('live');
    });
    source.addEventListener('error', () => {
      if (this.#source === source) {
        this.#say('reconnecting');
        if (source.readyState === EventSource.CLOSED) {
          this.#later(2000);
        }
      }
    });
    for (const type of TYPES) {
      source.addEventListener(type, (event) => {
        this.#heard = performance.now();
        if (event.lastEventId) {
          this.#id = event.lastEventId;
        }
        this.#say('live');
        const data = JSON.parse(event.data || '{}');
        for (const store of this.#stores) {
          const all = data.run === undefined;
          if (all || (data.run === store.run && (data.stream ?? 'main') === store.stream)) {
            store.take(type, data);
          }
        }
      });
    }
    this.#watch(source);
  }

  #later(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), ms);
  }

  /** A connection that says nothing, not even its pulse, is taken for broken. */
  #watch(source) {
    setTimeout(() => {
      if (this.#source !== source || source.readyState === EventSource.CLOSED) {
        return;
      }
      if (performance.now() - this.#heard > SILENT_MS) {
        this.#say('reconnecting');
        this.#open();
      } else {
        this.#watch(source);
      }
    }, SILENT_MS / 2);
  }

  #say(state) {
    for (const store of this.#stores) {
      store.connected(state);
    }
  }
}
