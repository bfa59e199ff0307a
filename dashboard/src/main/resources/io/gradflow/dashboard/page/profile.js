// The gradient over depth at the cursor: where it falls, breaks, or is no number.

import { INF, MISSING, NAN, UNPLACED, ZERO, PER_OCTAVE, isValue, log2Of, markOf } from './cells.js';
import { clean, formatStep, linearTicks } from './scale.js';
import { ink } from './colours.js';
import { choice, drawer, element, latest, surface } from './forms.js';
import { OCTAVES_PER_DECADE, breakSentence, count, counted, depthSentence, factor, number, signed } from './words.js';
import { depthFit, quantile, steepestBoundary } from './statistics.js';

const BAND_STEPS = 100;
const PLOT = { height: 250, left: 52, right: 12, top: 10, bottom: 18, rail: 24 };
const ROW = 24;
const MOST_JOINED = 200;
const MOST_LARGE = 4000;
const MOST_EACH_FRAME = 200;
const MARKS = [[NAN, 'NaN'], [INF, 'Inf'], [ZERO, '0'], [UNPLACED, '?'], [MISSING, '–']];

/**
 * The layers of a profile in order of depth, those without a depth last in the manifest's order.
 *
 * @param kinds which kinds of layers, e.g. 'WEIGHT'; null: all
 * @return [{index, name, depth, kind, block, elements}]
 */
export function byDepth(layers, kinds) {
  return layers
    .map((layer, index) => ({ ...layer, index }))
    .filter((layer) => kinds === null || kinds.has(layer.kind))
    .sort((a, b) => (a.depth ?? Infinity) - (b.depth ?? Infinity) || a.index - b.index);
}

/**
 * The 5th, 50th and 95th percentile of codes over rows, per layer, as log2; NaN where no row has a
 * value.
 *
 * @param rows Int16Arrays over layers
 */
export function bandOf(rows, indices) {
  const low = new Float64Array(indices.length).fill(NaN);
  const middle = low.slice();
  const high = low.slice();
  const values = new Float64Array(rows.length);
  indices.forEach((layer, i) => {
    let n = 0;
    for (const row of rows) if (isValue(row[layer])) values[n++] = row[layer];
    if (n === 0) return;
    const sorted = values.subarray(0, n).sort();
    low[i] = quantile(sorted, 0.05) / PER_OCTAVE;
    middle[i] = quantile(sorted, 0.5) / PER_OCTAVE;
    high[i] = quantile(sorted, 0.95) / PER_OCTAVE;
  });
  return { low, middle, high };
}

/** Kinds of layers in the manifest, weights first. */
function kindsOf(layers) {
  return [...new Set(layers.map((l) => l.kind))].sort((a, b) => (b === 'WEIGHT') - (a === 'WEIGHT') || (a < b ? -1 : 1));
}

export function mountProfile(root, page) {
  const { store, other, view, signal } = page;
  const on = { signal };
  const quantity = choice([['rms', 'RMS'], ['norm', 'L2 norm']], 'rms', { 'aria-label': 'Quantity' });
  const kindBox = element('fieldset', { class: 'toggles' }, element('legend', { class: 'for-readers' }, 'Kinds of layers'));
  const showTable = element('button', { type: 'button', 'aria-pressed': 'false' }, 'Table');
  const title = element('h2', {}, 'Depth profile');
  const words = element('p', { class: 'finding' });
  const canvas = element('canvas', { class: 'profile-canvas', tabIndex: 0, role: 'slider', 'aria-label': 'Layer by depth', 'aria-valuemin': '0' });
  const stage = element('div', { class: 'profile-stage' }, canvas);
  const readout = element('p', { class: 'reading' });
  const legend = element('p', { class: 'note' },
      key('key-line', 'at the cursor'), key('key-band', `5th to 95th percentile of ${BAND_STEPS} steps before`),
      key('key-base', 'baseline, their median'), key('key-fit', 'fitted slope'), other ? key('key-other', 'the other run, layers of the same name') : '', ' Marks at the foot: NaN, Inf, 0 exactly zero, ? no norm, – missing.');
  const table = layerTable({ view, pin, signal });
  table.root.hidden = true;
  root.append(
      element('div', { class: 'view-head' }, title, element('div', { class: 'controls' }, quantity, kindBox, showTable)),
      words, stage, readout, legend, table.root);

  let chosen = null;
  let kinds = '';
  let layers = [];
  let arranged = {};
  let band = null;
  let step = -1;
  let model = null;
  let pointed = null;
  let signals = null;
  let signalsOf = -1;

  const wish = latest({
    wanted: () => (store.nearest(view.step(store)) < 0 ? null : store.nearest(view.step(store))),
    load: (at) => store.detail(at),
    show: (detail, at) => {
      signals = detail?.signals ?? null;
      signalsOf = at;
      draw();
    },
    pause: () => (store.layers.length > 2000 ? 2000 : 700),
    signal,
  });

  function refreshKinds() {
    const all = kindsOf(store.layers);
    if (all.join() === kinds) return;
    kinds = all.join();
    chosen = new Set(all.includes('WEIGHT') ? ['WEIGHT'] : all);
    kindBox.replaceChildren(kindBox.firstChild, ...all.map((name) => {
      const box = element('input', { type: 'checkbox', checked: chosen.has(name), onchange: () => {
        if (box.checked) chosen.add(name);
        else chosen.delete(name);
        draw();
      } });
      return element('label', {}, box, name.toLowerCase());
    }));
  }

  /** The other run's layers of the same names at its own cursor, and its own trend over depth. */
  function secondRun(less, rms) {
    const row = other.row(other.nearest(view.step(other)));
    if (row === null) return null;
    const x = layers.map((layer, i) => {
      const index = other.layerIndex(layer.name);
      return index < 0 ? NaN : log2Of(row[index]) - less[i];
    });
    const weights = byDepth(other.layers, new Set(['WEIGHT'])).filter((l) => l.depth !== null);
    const fit = depthFit(
        weights.map((l) => log2Of(row[l.index]) - (rms ? Math.log2(Math.max(1, l.elements)) / 2 : 0)), weights.map((l) => l.depth));
    return { x, fit };
  }

  function rowsBefore() {
    const before = [];
    for (let s = step - 1; s >= step - BAND_STEPS; s--) {
      const past = store.row(s);
      if (past) before.push(past);
    }
    return before;
  }

  /** A band of hundreds of layers takes milliseconds: while steps pour in it may be a second old. */
  function bandHolds() {
    if (layers.length <= MOST_EACH_FRAME) return false;
    return step === band.step || (step > band.step && step - band.step <= BAND_STEPS && performance.now() - band.at < 1000);
  }

  /** All that is drawn, of one step. */
  function compute() {
    if (store.layers.length === 0) return null;
    refreshKinds();
    step = store.nearest(view.step(store));
    const wanted = [...chosen].join();
    if (arranged.of !== store.layers || arranged.kinds !== wanted) {
      arranged = { of: store.layers, kinds: wanted };
      layers = byDepth(store.layers, chosen);
      band = null;
    }
    const row = step < 0 ? null : store.row(step);
    if (!row || !layers.length) return null;
    const indices = layers.map((l) => l.index);
    const rms = quantity.value === 'rms';
    // log2 of the root of the elements: what tells RMS from the L2 norm.
    const less = layers.map((l) => (rms ? Math.log2(Math.max(1, l.elements)) / 2 : 0));
    if (band === null || !bandHolds()) {
      band = { ...bandOf(rowsBefore(), indices), step, at: performance.now() };
    }
    const minus = (column) => column.map((v, i) => v - less[i]);
    const codes = indices.map((i) => row[i]);
    const x = codes.map((c, i) => log2Of(c) - less[i]);
    const depthKnown = layers.filter((l) => l.depth !== null).length;
    const weights = [...layers.keys()].filter((i) => layers[i].kind === 'WEIGHT' && layers[i].depth !== null);
    const wx = weights.map((i) => x[i]);
    const wd = weights.map((i) => layers[i].depth);
    const fitted = depthFit(wx, wd);
    const published = rms && signalsOf === step && signals?.depthT !== null && signals?.depthT !== undefined;
    const fit = published ? { slope: signals.depthSlope, t: signals.depthT, drop: signals.depthDrop } : fitted;
    const boundary = steepestBoundary(wx, wd);
    const second = other && secondRun(less, rms);
    return {
      codes, x, fit, fitted, second, depthKnown,
      low: minus(band.low), middle: minus(band.middle), high: minus(band.high),
      deviation: x.map((v, i) => v - (band.middle[i] - less[i])),
      weights,
      boundary: boundary && { ...boundary, inputSide: weights[boundary.inputSide], lossSide: weights[boundary.lossSide] },
    };
  }

  const draw = drawer(root, () => {
    wish();
    model = compute();
    title.textContent = step >= 0 ? `Depth profile at step ${formatStep(step)}` : 'Depth profile';
    if (!model) {
      words.textContent = store.layers.length === 0 ? 'Waiting for the manifest.' : !layers.length ? 'No kind of layers is chosen.' : 'No step is held here.';
      readout.textContent = '';
      surface(canvas, Math.max(200, stage.clientWidth), PLOT.height);
      return;
    }
    const label = quantity.value === 'rms' ? 'RMS' : 'Norm';
    const bad = MARKS.map(([code, name]) => [model.codes.filter((c) => c === code).length, name]).filter(([n]) => n > 0);
    const whole = [model.weights[0], model.weights.at(-1)].every((i) => i === undefined || Number.isFinite(model.x[i]));
    words.replaceChildren(
        element('span', {}, depthSentence(label, model.fit, whole ? 'layer' : 'layer with a value')), ' ',
        breakSentence(model.boundary, (i) => clean(layers[i].block ?? layers[i].name, 40)),
        model.second ? element('span', { class: 'dim' }, ` Other run, ${clean(other.run, 40)}: ${depthSentence(label, model.second.fit)}`) : '',
        bad.length ? element('strong', {}, ` ${bad.map(([n, name]) => `${counted(n, 'layer')} ${{ 0: 'exactly zero', '?': 'without a norm', '–': 'missing' }[name] ?? name}`).join(', ')}.`) : '');
    paint();
    tell();
    if (!table.root.hidden) table.show(layers, model, quantity.value);
  }, signal);

  function geometry() {
    const width = Math.max(200, stage.clientWidth);
    const inner = width - PLOT.left - PLOT.right;
    const n = layers.length;
    const values = [];
    for (const column of [model.x, model.low, model.high, model.second?.x ?? []]) for (const v of column) if (Number.isFinite(v)) values.push(v);
    const sorted = Float64Array.from(values).sort();
    let [low, high] = sorted.length ? [sorted[0], sorted[sorted.length - 1]] : [-1, 1];
    const room = Math.max((high - low) * 0.06, 0.5);
    low -= room;
    high += room;
    const bottom = PLOT.height - PLOT.bottom - PLOT.rail;
    return {
      width, inner, low, high, bottom,
      x: (i) => PLOT.left + (n === 1 ? inner / 2 : (i / (n - 1)) * inner),
      y: (v) => PLOT.top + ((high - v) / (high - low)) * (bottom - PLOT.top),
    };
  }

  function paint() {
    const g = geometry();
    const context = surface(canvas, g.width, PLOT.height);
    context.font = '11px system-ui, sans-serif';
    context.lineWidth = 1;
    axes(context, g);
    // The band, where anything is known.
    context.fillStyle = ink('--series1');
    context.globalAlpha = 0.18;
    // Neighbours of a deep network's profile are of unlike kinds: lines between many would hide them.
    const dense = layers.length > MOST_JOINED;
    const half = dense ? Math.max(0.5, g.inner / layers.length / 2) : 2;
    spans(layers.length, (i) => Number.isFinite(model.low[i]), (from, to) => {
      context.beginPath();
      if (dense || from === to) {
        for (let i = from; i <= to; i++) context.rect(g.x(i) - half, g.y(model.high[i]), 2 * half, Math.max(1, g.y(model.low[i]) - g.y(model.high[i])));
      } else {
        for (let i = from; i <= to; i++) context.lineTo(g.x(i), g.y(model.high[i]));
        for (let i = to; i >= from; i--) context.lineTo(g.x(i), g.y(model.low[i]));
      }
      context.fill();
    });
    context.globalAlpha = 1;
    if (dense) points(context, g, model.middle, ink('--dim'), 0.6);
    else line(context, g, model.middle, ink('--dim'), [3, 3], 1);
    fitLine(context, g);
    if (model.second && dense) points(context, g, model.second.x, ink('--series3'), 0.9);
    else if (model.second) line(context, g, model.second.x, ink('--series3'), [5, 3], 1.4);
    if (!dense) line(context, g, model.x, ink('--series1'), [], 1.6);
    points(context, g, model.x, ink('--series1'), dense ? (layers.length > MOST_LARGE ? 0.6 : 1.1) : 3);
    boundaryMark(context, g);
    rail(context, g);
    outline(context, g, layers.findIndex((l) => l.name === (view.get('hoverLayer') ?? '\u0000')), '--dim');
    outline(context, g, layers.findIndex((l) => l.name === view.get('layer')), '--accent');
    if (pointed !== null) outline(context, g, pointed, '--text');
  }

  function axes(context, g) {
    context.strokeStyle = ink('--grid');
    context.fillStyle = ink('--dim');
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (const tick of linearTicks(g.low / OCTAVES_PER_DECADE, g.high / OCTAVES_PER_DECADE, 5)) {
      const y = Math.round(g.y(tick * OCTAVES_PER_DECADE)) + 0.5;
      context.beginPath();
      context.moveTo(PLOT.left, y);
      context.lineTo(g.width - PLOT.right, y);
      context.stroke();
      context.fillText(number(tick, 3), PLOT.left - 6, y);
    }
    context.textBaseline = 'alphabetic';
    const foot = PLOT.height - 6;
    context.textAlign = 'left';
    context.fillText(`← input${model.depthKnown < layers.length ? ' (layers without a depth last)' : ''}`, PLOT.left, foot);
    context.textAlign = 'right';
    context.fillText('loss →', g.width - PLOT.right, foot);
    context.textAlign = 'center';
    context.fillText('depth', PLOT.left + g.inner / 2, foot);
    context.save();
    context.translate(11, PLOT.top + (g.bottom - PLOT.top) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(`log₁₀ ${quantity.value === 'rms' ? 'RMS' : 'norm'}`, 0, 0);
    context.restore();
  }

  function line(context, g, column, colour, dash, width) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    spans(layers.length, (i) => Number.isFinite(column[i]), (from, to) => {
      context.beginPath();
      for (let i = from; i <= to; i++) context.lineTo(g.x(i), g.y(column[i]));
      if (from === to) context.lineTo(g.x(from) + 0.5, g.y(column[from]));
      context.stroke();
    });
    context.setLineDash([]);
  }

  function points(context, g, column, colour, radius) {
    context.fillStyle = colour;
    context.beginPath();
    for (let i = 0; i < layers.length; i++) {
      if (!Number.isFinite(column[i])) continue;
      const [x, y] = [g.x(i), g.y(column[i])];
      if (radius < 2) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      else {
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 7);
      }
    }
    context.fill();
  }

  function fitLine(context, g) {
    const fit = model.fitted;
    if (!fit) return;
    const known = (i) => Number.isFinite(model.x[i]);
    const ends = [model.weights.find(known), model.weights.findLast(known)];
    context.strokeStyle = ink('--series2');
    context.lineWidth = 1.2;
    context.setLineDash([8, 4]);
    context.beginPath();
    for (const i of ends) context.lineTo(g.x(i), g.y(fit.mean + fit.slope * (layers[i].depth - fit.meanDepth)));
    context.stroke();
    context.setLineDash([]);
  }

  function boundaryMark(context, g) {
    if (!model.boundary?.isBreak) return;
    const x = (g.x(model.boundary.inputSide) + g.x(model.boundary.lossSide)) / 2;
    context.strokeStyle = ink('--warning');
    context.lineWidth = 1.5;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(x, PLOT.top);
    context.lineTo(x, g.bottom);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = ink('--text');
    context.textAlign = x > g.width / 2 ? 'right' : 'left';
    context.fillText(`break, ${factor(-model.boundary.fall)}`, x + (x > g.width / 2 ? -5 : 5), PLOT.top + 10);
  }

  /** What is no value has its place below the plot: it is not small. */
  function rail(context, g) {
    const y = g.bottom + PLOT.rail / 2 + 2;
    context.strokeStyle = ink('--line');
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(PLOT.left, g.bottom + 0.5);
    context.lineTo(g.width - PLOT.right, g.bottom + 0.5);
    context.stroke();
    context.font = '600 10px system-ui, sans-serif';
    const half = Math.max(0.75, Math.min(3, g.inner / layers.length / 2));
    let taken = -Infinity;
    for (let from = 0; from < layers.length;) {
      const code = model.codes[from];
      let to = from;
      while (to + 1 < layers.length && model.codes[to + 1] === code) to++;
      const mark = MARKS.find(([c]) => c === code);
      if (mark) {
        const [left, right] = [g.x(from) - half, g.x(to) + half];
        context.fillStyle = code === NAN || code === INF ? ink('--nan') : ink('--text');
        context.fillRect(left, g.bottom + 2, right - left, 6);
        const text = to > from ? `${count(to - from + 1)} × ${mark[1]}` : mark[1];
        const wide = context.measureText(text).width;
        const at = Math.max(PLOT.left + wide / 2, Math.min(g.width - PLOT.right - wide / 2, (left + right) / 2));
        if (at - wide / 2 > taken + 4) {
          context.textAlign = 'center';
          context.fillText(text, at, y + 5);
          taken = at + wide / 2;
        }
      }
      from = to + 1;
    }
    context.font = '11px system-ui, sans-serif';
  }

  function outline(context, g, i, name) {
    if (i < 0 || i >= layers.length) return;
    const x = g.x(i);
    context.strokeStyle = ink(name);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, PLOT.top);
    context.lineTo(x, g.bottom + 6);
    context.stroke();
    const v = model.x[i];
    if (Number.isFinite(v)) {
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, g.y(v), 5, 0, 7);
      context.stroke();
    }
  }

  function tell() {
    const pinned = layers.findIndex((l) => l.name === view.get('layer'));
    const i = pointed ?? (pinned < 0 ? null : pinned);
    const said = i === null || !layers[i] ? 'Point at a layer to read it, click to pin it.' : sentence(i);
    readout.textContent = said;
    canvas.setAttribute('aria-valuemax', String(Math.max(0, layers.length - 1)));
    canvas.setAttribute('aria-valuenow', String(i ?? 0));
    canvas.setAttribute('aria-valuetext', said);
  }

  function sentence(i) {
    const layer = layers[i];
    const mark = markOf(model.codes[i]);
    const place = [layer.depth !== null ? `depth ${layer.depth}` : 'depth unknown', layer.kind.toLowerCase(), `${count(layer.elements)} elements`].join(', ');
    const value = mark ?? `${quantity.value === 'rms' ? 'RMS' : 'norm'} ${number(2 ** model.x[i])}`;
    const off = Number.isFinite(model.deviation[i]) ? `, ${signed(model.deviation[i], 2)} octaves from its baseline` : '';
    return `${clean(layer.name, 70)} · ${place} · ${value}${off}`;
  }

  function pin(name) {
    view.set({ layer: view.get('layer') === name ? null : name }, { push: true });
  }

  function layerAt(event) {
    if (!model || !layers.length) return null;
    const inner = Math.max(200, stage.clientWidth) - PLOT.left - PLOT.right;
    const share = (event.clientX - canvas.getBoundingClientRect().left - PLOT.left) / inner;
    return Math.max(0, Math.min(layers.length - 1, Math.round(share * (layers.length - 1))));
  }

  function point(i) {
    pointed = i;
    view.set({ hoverLayer: i === null ? null : layers[i].name });
    again();
  }

  const again = drawer(root, () => {
    if (model) {
      paint();
      tell();
    }
  }, signal);

  canvas.addEventListener('pointermove', (event) => point(layerAt(event)), on);
  canvas.addEventListener('pointerleave', () => point(null), on);
  canvas.addEventListener('click', (event) => {
    const i = layerAt(event);
    if (i !== null) pin(layers[i].name);
  }, on);
  canvas.addEventListener('keydown', (event) => {
    if (!layers.length) return;
    const here = pointed ?? layers.findIndex((l) => l.name === view.get('layer'));
    const next = {
      ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1,
      PageUp: here + 10, PageDown: here - 10, Home: 0, End: layers.length - 1,
    }[event.key];
    if (next !== undefined) point(Math.max(0, Math.min(layers.length - 1, next)));
    else if ((event.key === 'Enter' || event.key === ' ') && pointed !== null) pin(layers[pointed].name);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, on);
  canvas.addEventListener('blur', () => point(null), on);
  quantity.addEventListener('change', draw, on);
  showTable.addEventListener('click', () => {
    table.root.hidden = !table.root.hidden;
    showTable.setAttribute('aria-pressed', String(!table.root.hidden));
    draw();
  }, on);
  view.addEventListener('change', ({ changed }) => {
    if (['cursor', 'hover', 'to', 'theme'].some((k) => changed.has(k)) || (other && changed.has('to2'))) draw();
    else if (changed.has('layer') || changed.has('hoverLayer')) {
      again();
      table.refresh();
    }
  }, on);
  store.addEventListener('change', ({ kinds: what, from, to }) => {
    const at = view.step(store);
    const near = what.has('steps') && !(to < at - BAND_STEPS || from > at) ;
    if (near || what.has('manifest') || (step < 0 && what.has('steps'))) draw();
  }, on);
  other?.addEventListener('change', ({ kinds: what }) => {
    if (what.has('steps') || what.has('manifest')) draw();
  }, on);
  draw();
}

/** Calls visit(from, to) for each run of indices that are known. */
function spans(n, known, visit) {
  let from = -1;
  for (let i = 0; i <= n; i++) {
    if (i < n && known(i)) from = from < 0 ? i : from;
    else if (from >= 0) {
      visit(from, i - 1);
      from = -1;
    }
  }
}

function key(name, text) {
  return element('span', { class: 'key' }, element('span', { class: `swatch ${name}`, 'aria-hidden': 'true' }), text);
}

const COLUMNS = [
  ['depth', 'depth'], ['name', 'layer'], ['kind', 'kind'], ['value', 'value'], ['baseline', 'baseline'], ['deviation', 'octaves off'],
];

/** The layers at the cursor as a sortable table that holds only the rows in sight. */
function layerTable({ view, pin, signal }) {
  const heads = COLUMNS.map(([id, label]) => element('th', { scope: 'col' },
      element('button', { type: 'button', class: 'plain', onclick: () => sortBy(id) }, label)));
  const body = element('tbody');
  const grid = element('table', { class: 'dense layer-table' },
      element('caption', { class: 'for-readers' }, 'Layers at the cursor'), element('thead', {}, element('tr', {}, heads)), body);
  const root = element('div', { class: 'scroller', tabIndex: 0, role: 'region', 'aria-label': 'Table of layers' }, grid);
  let sort = { id: 'deviation', down: true };
  let rows = [];

  function sortBy(id) {
    sort = { id, down: sort.id === id ? !sort.down : id === 'deviation' };
    arrange();
    refresh();
  }

  function arrange() {
    // What is no value comes first by deviation: it is the farthest off.
    const rank = (row) => ({
      depth: row.depth ?? Infinity, name: row.name, kind: row.kind, value: row.mark ? -Infinity : row.x, baseline: row.base,
      deviation: row.mark ? Infinity : Math.abs(row.deviation),
    }[sort.id]);
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : (Number.isNaN(b) ? 1 : 0) - (Number.isNaN(a) ? 1 : 0));
    rows.sort((a, b) => (sort.down ? compare(rank(b), rank(a)) : compare(rank(a), rank(b))) || a.index - b.index);
    heads.forEach((head, i) => head.setAttribute('aria-sort', COLUMNS[i][0] === sort.id ? (sort.down ? 'descending' : 'ascending') : 'none'));
  }

  function refresh() {
    if (root.hidden) return;
    const first = Math.max(0, Math.floor(root.scrollTop / ROW) - 5);
    const shown = rows.slice(first, first + Math.ceil((root.clientHeight || 240) / ROW) + 10);
    const focused = body.contains(document.activeElement) ? document.activeElement.textContent : null;
    body.replaceChildren(filler(first), ...shown.map((row, i) => {
      const button = element('button', { type: 'button', class: 'link name', title: clean(row.name, 500), onclick: () => pin(row.name) }, clean(row.name, root.clientWidth < 560 ? 25 : 60));
      return element('tr', { class: row.name === view.get('layer') ? 'pinned' : '', 'aria-rowindex': String(first + i + 2) },
          [row.depth ?? '–', button, row.kind.toLowerCase(), row.mark ?? number(2 ** row.x), Number.isFinite(row.base) ? number(2 ** row.base) : '–',
            row.mark ? '–' : Number.isFinite(row.deviation) ? signed(row.deviation, 2) : '–'].map((cell) => element('td', {}, typeof cell === 'number' ? String(cell) : cell)));
    }), filler(rows.length - first - shown.length));
    if (focused !== null) [...body.querySelectorAll('button')].find((b) => b.textContent === focused)?.focus({ preventScroll: true });
    grid.setAttribute('aria-rowcount', String(rows.length + 1));
  }

  function filler(n) {
    const cell = element('td', { colSpan: COLUMNS.length });
    cell.style.height = `${n * ROW}px`;
    const row = element('tr', { class: 'filler', 'aria-hidden': 'true' }, cell);
    row.hidden = n === 0;
    return row;
  }

  root.addEventListener('scroll', refresh, { signal, passive: true });
  return {
    root,
    refresh,
    show(layers, model) {
      rows = layers.map((layer, i) => ({
        ...layer, x: model.x[i], base: model.middle[i], deviation: model.deviation[i], mark: markOf(model.codes[i]),
      }));
      arrange();
      refresh();
    },
  };
}
