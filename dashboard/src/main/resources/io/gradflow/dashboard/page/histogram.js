// The octaves of the pinned layer's elements over steps, beside the limits of number formats.

import { clean, formatBytes, formatStep, stepTicks } from './scale.js';
import { ink, palette } from './colours.js';
import { ask, choice, drawer, element, latest, needsWrites, notice, surface } from './forms.js';
import { count, duration, percent } from './words.js';

const PLOT = { left: 52, right: 12, top: 8, bottom: 22, zeros: 14, gap: 5, height: 260 };

/** Octaves beyond the data within which a limit is drawn in its place, else named at the edge. */
const NEAR = 14;

/** floor(log2) of a format's largest value, smallest normal and smallest subnormal. */
const FORMATS = {
  float16: { largest: 15, normal: -14, subnormal: -24 },
  bfloat16: { largest: 127, normal: -126, subnormal: -133 },
  float32: { largest: 127, normal: -126, subnormal: -149 },
  float64: { largest: 1023, normal: -1022, subnormal: -1074 },
  'float8 e4m3': { largest: 8, normal: -6, subnormal: -9 },
  'float8 e5m2': { largest: 15, normal: -14, subnormal: -16 },
};

const ALIASES = new Map([
  ['half', 'float16'], ['fp16', 'float16'], ['f16', 'float16'], ['bf16', 'bfloat16'],
  ['float', 'float32'], ['fp32', 'float32'], ['f32', 'float32'], ['double', 'float64'], ['fp64', 'float64'], ['f64', 'float64'],
]);

/** A format by one of its names, e.g. 'bf16', 'torch.float16' or 'float8_e4m3fn'; null if unknown. */
export function formatOf(dtype) {
  const name = String(dtype ?? '').toLowerCase().replace(/^.*\./, '');
  if (Object.hasOwn(FORMATS, name)) return name;
  if (/e4m3/.test(name)) return 'float8 e4m3';
  if (/e5m2/.test(name)) return 'float8 e5m2';
  return ALIASES.get(name) ?? null;
}

/**
 * Limits of a format as exponents.
 *
 * @param lossScale what gradients were divided by: limits of what the trainer holds lie lower by it
 * @return {largest, normal, subnormal}, whole where the scale is a power of two; null if unknown
 */
export function limitsOf(format, lossScale) {
  if (!Object.hasOwn(FORMATS, format ?? '')) return null;
  const limits = FORMATS[format];
  const less = lossScale > 0 && Number.isFinite(lossScale) ? Math.log2(lossScale) : 0;
  return { largest: limits.largest - less, normal: limits.normal - less, subnormal: limits.subnormal - less };
}

/**
 * Shares and quantiles of one histogram.
 *
 * @param bins exponents, ascending
 * @return {total, zeros: share, p01, p50, p99: exponents of what is not zero, null if all is}
 */
export function summaryOf(bins, counts, zeros) {
  const others = counts.reduce((a, b) => a + b, 0);
  const total = others + (zeros ?? 0);
  const at = (share) => {
    let below = 0;
    for (let i = 0; i < bins.length; i++) {
      below += counts[i];
      if (below > 0 && below >= share * others) return bins[i];
    }
    return null;
  };
  const some = others > 0;
  return {
    total, zeros: total > 0 ? (zeros ?? 0) / total : null,
    p01: some ? at(0.01) : null, p50: some ? at(0.5) : null, p99: some ? at(0.99) : null,
  };
}

/** Share of what is not zero that lies below an exponent. */
export function shareBelow(bins, counts, exponent) {
  let below = 0;
  let all = 0;
  bins.forEach((bin, i) => {
    all += counts[i];
    if (bin < exponent) below += counts[i];
  });
  return all > 0 ? below / all : 0;
}

/**
 * Ranks as written by a person: '0, 3, 8-15'; nothing or 'all' is null, all ranks.
 *
 * @throws Error saying what was expected
 */
export function parseRanks(text, worldSize) {
  const given = text.trim().toLowerCase();
  if (given === '' || given === 'all') return null;
  const ranks = new Set();
  for (const part of given.split(',').map((p) => p.trim())) {
    const match = /^(\d{1,9})(?:\s*-\s*(\d{1,9}))?$/.exec(part);
    const [from, to] = match ? [Number(match[1]), Number(match[2] ?? match[1])] : [1, 0];
    if (from > to || to >= worldSize) throw new Error(`Ranks: expected numbers below ${worldSize} such as 0, 3, 8-15, got ${clean(part, 30) || 'nothing'}.`);
    for (let rank = from; rank <= to; rank++) ranks.add(rank);
  }
  return [...ranks].sort((a, b) => a - b);
}

export function mountHistogram(root, page) {
  const { store, view, api, signal } = page;
  const on = { signal };
  const format = choice([['own', 'own format'], ...Object.keys(FORMATS).map((f) => [f, f])], 'own', { 'aria-label': 'Limits of' });
  const capture = needsWrites(element('button', { type: 'button', onclick: askForCapture }, 'Capture raw blocks…'), page.status);
  const title = element('h2', {}, 'Histogram');
  const summary = element('p', { class: 'view-summary' });
  const canvas = element('canvas', { class: 'histogram-canvas', tabIndex: 0, role: 'slider', 'aria-label': 'Step of the histogram', 'aria-valuemin': '0' });
  const stage = element('div', { class: 'histogram-stage' }, canvas);
  const readout = element('p', { class: 'reading' });
  const legend = element('p', { class: 'note' });
  root.append(
      element('div', { class: 'view-head' }, title,
          element('div', { class: 'controls' }, element('label', { class: 'control' }, 'limits of ', format), capture)),
      summary, stage, readout, legend);

  let data = null;
  let error = null;

  const wish = latest({
    wanted() {
      const layer = store.layerIndex(view.get('layer'));
      const { from, to } = view.visible(store);
      return layer < 0 || store.last < 0 ? null : `${layer} ${Math.max(0, from)} ${to}`;
    },
    load(key) {
      const [layer, from, to] = key.split(' ').map(Number);
      return api.get('histogram', { run: store.run, stream: store.stream, layer, from, to }, { signal });
    },
    show(value, key, failure) {
      data = value;
      error = failure ?? null;
      draw();
    },
    pause: () => (view.get('to') === null ? 2000 : 150),
    signal,
  });

  const draw = drawer(root, () => {
    wish();
    const name = view.get('layer');
    const index = store.layerIndex(name);
    title.textContent = name === null ? 'Histogram' : `Histogram of ${clean(name, 60)}`;
    title.title = name === null ? '' : clean(name, 500);
    capture.disabled = !page.status?.writes || index < 0;
    if (index < 0) {
      say(name === null ? 'Pin a layer, in the heat map or the profile, to see the octaves of its elements.' : 'The manifest has no such layer.');
    } else if (error) {
      say(error.message);
    } else if (data === null || data.layer !== index) {
      say('Loading…');
    } else if (data.steps.length === 0) {
      say('No histograms are published of this layer in these steps. Trainers send them with the group histogram, e.g. histogram:10 for '
        + 'every tenth step: see signals in the guide of trainers.');
    } else {
      stage.hidden = legend.hidden = false;
      paint();
      return;
    }
    stage.hidden = legend.hidden = true;
  }, signal);

  function say(text) {
    summary.textContent = text;
    readout.textContent = '';
  }

  /** Index of the histogram at the cursor or the last one before it. */
  function atCursor() {
    const step = view.step(store);
    let i = data.steps.findLastIndex((s) => s <= step);
    if (i < 0) i = 0;
    return i;
  }

  function paint() {
    const width = Math.max(200, stage.clientWidth);
    const { from, to } = view.visible(store);
    const inner = width - PLOT.left - PLOT.right;
    const bottom = PLOT.height - PLOT.bottom - PLOT.zeros - PLOT.gap;
    const own = formatOf(data.dtype);
    const chosen = format.value === 'own' ? own : format.value;
    const scale = store.value('lossScale', store.nearest(view.step(store)));
    const limits = limitsOf(chosen, scale);
    let low = data.bins[0] ?? -1;
    let high = data.bins.at(-1) ?? 0;
    const [first, last] = [low, high];
    for (const e of limits ? Object.values(limits) : []) {
      if (e < low && e > first - NEAR) low = Math.floor(e) - 1;
      if (e > high && e < last + NEAR) high = Math.ceil(e) + 1;
    }
    const rows = high - low + 1;
    const x = (step) => PLOT.left + ((step - from) / (to - from + 1)) * inner;
    const y = (exponent) => PLOT.top + ((high + 1 - exponent) / rows) * (bottom - PLOT.top);
    const context = surface(canvas, width, PLOT.height);
    context.font = '11px system-ui, sans-serif';
    context.fillStyle = ink('--grid');
    context.globalAlpha = 0.35;
    context.fillRect(PLOT.left, PLOT.top, inner, bottom - PLOT.top);
    context.fillRect(PLOT.left, bottom + PLOT.gap, inner, PLOT.zeros);
    context.globalAlpha = 1;
    const most = Math.log1p(Math.max(1, data.elements ?? 1));
    const table = palette('norm');
    const shade = (n) => {
      const pixel = table[Math.min(255, Math.round((Math.log1p(n) / most) * 255))];
      return `rgb(${pixel & 255}, ${(pixel >> 8) & 255}, ${(pixel >> 16) & 255})`;
    };
    const gaps = data.steps.slice(1).map((s, i) => s - data.steps[i]).sort((a, b) => a - b);
    const usual = gaps.length ? gaps[gaps.length >> 1] : 1;
    const tops = data.bins.map((bin) => y(bin + 1));
    // Rows overlap a little, so that no seams show between them.
    const tall = Math.max(1, y(0) - y(1)) + 0.3;
    context.save();
    context.beginPath();
    context.rect(PLOT.left, 0, inner, PLOT.height);
    context.clip();
    data.steps.forEach((step, i) => {
      if (step + usual < from || step > to) return;
      // A histogram stands for the steps until the next one is due.
      const wide = Math.min((data.steps[i + 1] ?? step + usual) - step, usual);
      const left = x(step);
      const w = Math.max(1, x(step + wide) - left);
      data.counts[i].forEach((n, b) => {
        if (!(n > 0)) return;
        context.fillStyle = shade(n);
        context.fillRect(left, tops[b], w, tall);
      });
      if (data.zeros[i] > 0) {
        context.fillStyle = shade(data.zeros[i]);
        context.fillRect(left, bottom + PLOT.gap, w, PLOT.zeros);
      }
    });
    context.restore();
    axes(context, { from, to, low, high, x, y, width, bottom, rows });
    if (limits) drawLimits(context, { limits, chosen, low, high, y, width, bottom });
    cursor(context, x, inner, bottom, from, to);
    const i = atCursor();
    const s = summaryOf(data.bins, data.counts[i], data.zeros[i]);
    const said = [`Step ${formatStep(data.steps[i])}`, s.p50 === null ? 'all zero' : `median 2${superscript(s.p50)}, 1st to 99th percentile 2${superscript(s.p01)} to 2${superscript(s.p99)}`,
      `zeros ${percent(s.zeros)}`,
      limits ? `below the normals of ${chosen} ${percent(shareBelow(data.bins, data.counts[i], limits.normal))}` : ''].filter(Boolean).join(' · ');
    readout.textContent = said;
    canvas.setAttribute('aria-valuemax', String(data.steps.length - 1));
    canvas.setAttribute('aria-valuenow', String(i));
    canvas.setAttribute('aria-valuetext', said);
    summary.textContent = `${count(data.elements)} elements, ${clean(data.dtype, 30)}`
      + `${chosen ? '' : ', a format without known limits'}; ${count(data.steps.length)} histograms in view`;
    legend.textContent = `Colour: elements of an octave (log scale, brighter is more); foot: exact zeros. Lines: limits of ${chosen ?? 'no format'}`
      + (scale > 1 ? `, lower by the loss scale ${count(scale)} that gradients were divided by.` : '.')
      + (page.status?.writes ? '' : ' Captures need a server that was started with leave to write.');
  }

  function axes(context, { from, to, low, high, x, y, width, bottom, rows }) {
    context.fillStyle = ink('--dim');
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    const every = [1, 2, 4, 8, 16, 32, 64, 128, 256].find((n) => (rows / n) * 16 < bottom) ?? 512;
    for (let e = Math.ceil(low / every) * every; e <= high; e += every) {
      context.fillText(`2${superscript(e)}`, PLOT.left - 6, y(e + 0.5));
    }
    context.fillText('zeros', PLOT.left - 6, bottom + PLOT.gap + PLOT.zeros / 2);
    context.textAlign = 'center';
    context.textBaseline = 'alphabetic';
    for (const step of stepTicks(from, to, Math.max(2, Math.floor(width / 110)))) {
      if (step >= 0) context.fillText(formatStep(step), Math.min(width - 24, x(step)), PLOT.height - 6);
    }
  }

  function drawLimits(context, { limits, chosen, low, high, y, width, bottom }) {
    const names = [['largest', 'largest', 1], ['normal', 'smallest normal', 0], ['subnormal', 'smallest subnormal', 0]];
    context.lineWidth = 1;
    const above = [];
    const below = [];
    context.textAlign = 'right';
    for (const [name, label, up] of names) {
      const e = limits[name];
      if (e > high) above.push(`${label} 2${superscript(Math.floor(e))}`);
      else if (e < low) below.push(`${label} 2${superscript(Math.floor(e))}`);
      else {
        const at = Math.round(y(e + up)) + 0.5;
        context.strokeStyle = ink('--warning');
        context.setLineDash(name === 'subnormal' ? [2, 3] : name === 'normal' ? [6, 3] : []);
        context.beginPath();
        context.moveTo(PLOT.left, at);
        context.lineTo(width - PLOT.right, at);
        context.stroke();
        tag(context, `${chosen} ${label}`, width - PLOT.right - 4, at + (up ? 9 : -7));
      }
    }
    context.setLineDash([]);
    if (above.length) tag(context, `↑ ${above.join(', ')}`, width - PLOT.right - 4, PLOT.top + 8);
    if (below.length) tag(context, `↓ ${below.join(', ')}`, width - PLOT.right - 4, bottom - 8);
  }

  function tag(context, text, right, middle) {
    context.textBaseline = 'middle';
    const w = context.measureText(text).width;
    context.fillStyle = ink('--panel');
    context.globalAlpha = 0.82;
    context.fillRect(right - w - 4, middle - 7, w + 8, 14);
    context.globalAlpha = 1;
    context.fillStyle = ink('--text');
    context.fillText(text, right, middle);
  }

  function cursor(context, x, inner, bottom, from, to) {
    const step = view.step(store);
    if (step < from || step > to) return;
    const at = Math.round(x(step + 0.5)) + 0.5;
    context.strokeStyle = ink('--text');
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(at, PLOT.top);
    context.lineTo(at, bottom + PLOT.gap + PLOT.zeros);
    context.stroke();
  }

  function stepAt(event) {
    const { from, to } = view.visible(store);
    const inner = Math.max(200, stage.clientWidth) - PLOT.left - PLOT.right;
    const at = (event.clientX - canvas.getBoundingClientRect().left - PLOT.left) / inner;
    const step = Math.floor(from + at * (to - from + 1));
    return at < 0 || at >= 1 || step < 0 ? null : step;
  }

  async function askForCapture() {
    const name = view.get('layer');
    const elements = store.layers[store.layerIndex(name)]?.elements ?? 0;
    await ask({
      title: 'Capture raw blocks',
      lines: [
        `Layer ${clean(name, 70)}, ${count(elements)} elements (${formatBytes(elements * 4)} a step and rank as float32).`,
        'Trainers answer only where they were started with leave to capture: raw gradients give away data they were computed from.',
      ],
      fields: [
        { name: 'ranks', label: 'Ranks', value: view.get('rank') ?? 'all', hint: 'Such as 0, 3, 8-15; empty is all.' },
        { name: 'steps', label: 'Steps', type: 'number', value: 1, min: 1, max: 1000, required: true },
        { name: 'budget', label: 'Byte budget, MB', type: 'number', value: 64, min: 1, max: 10_000, required: true, hint: 'A trainer stops where the next block would exceed it.' },
        { name: 'expiry', label: 'Expires in, s', type: 'number', value: 600, min: 1, max: 86_400, required: true, hint: 'A trainer that hears of it later does nothing.' },
      ],
      action: 'Ask for them',
      send: async ({ ranks, steps, budget, expiry }) => {
        const { captureId } = await api.post('captures', {
          run: store.run, stream: store.stream, layers: [name], ranks: parseRanks(ranks, store.manifest?.worldSize ?? 0),
          steps: Number(steps), byteBudget: Number(budget) * 1e6, expiresInSeconds: Number(expiry),
        });
        notice(`Capture ${clean(captureId, 40)} is asked for. It expires in ${duration(Number(expiry) * 1000)}.`);
      },
    });
  }

  canvas.addEventListener('pointermove', (event) => view.set({ hover: stepAt(event) }), on);
  canvas.addEventListener('pointerleave', () => view.set({ hover: null }), on);
  canvas.addEventListener('click', (event) => {
    const step = stepAt(event);
    if (step !== null) view.set({ cursor: step }, { push: true });
  }, on);
  canvas.addEventListener('keydown', (event) => {
    if (!data?.steps.length) return;
    const i = atCursor();
    const next = { ArrowRight: i + 1, ArrowUp: i + 1, ArrowLeft: i - 1, ArrowDown: i - 1, Home: 0, End: data.steps.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    view.set({ cursor: data.steps[Math.max(0, Math.min(data.steps.length - 1, next))] });
  }, on);
  format.addEventListener('change', draw, on);
  view.addEventListener('change', ({ changed }) => {
    if (changed.has('layer') || changed.has('to') || changed.has('span') || changed.has('cursor') || changed.has('hover') || changed.has('theme')) draw();
  }, on);
  store.addEventListener('change', ({ kinds }) => {
    if (kinds.has('manifest') || (kinds.has('steps') && view.get('layer') !== null)) draw();
  }, on);
  draw();
}

function superscript(n) {
  return String(Math.round(n)).replace('-', '⁻').replace(/\d/g, (d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]);
}
