// Loss, global norm, learning rate and the pinned layer's norm over steps.

import { INF, NAN, ZERO, isValue, markOf, normOf } from './cells.js';
import { clean, formatNorm, formatStep, linearTicks, stepTicks } from './scale.js';
import { ink } from './colours.js';
import { drawer, element, surface } from './forms.js';
import { DEFAULTS, MIN_SPAN } from './view.js';
import { number } from './words.js';

const PLOT = { left: 58, right: 8, top: 12, bottom: 20, height: 132 };
const MOST_TICKS = 5;

/**
 * Indices, ascending, that keep what a line shows: of each of so many buckets of x the first and the
 * last, and of each column the least, the greatest and one that is unknown.
 *
 * @param x ascending
 */
export function keepIndices(x, columns, buckets) {
  const n = x.length;
  if (n <= buckets * 2) return Uint32Array.from({ length: n }, (_, i) => i);
  const kept = [];
  const [from, to] = [x[0], x[n - 1]];
  let start = 0;
  for (let b = 1; b <= buckets && start < n; b++) {
    const edge = b === buckets ? Infinity : from + ((to - from) * b) / buckets;
    let end = start;
    while (end < n && x[end] < edge) end++;
    if (end === start) continue;
    const some = new Set([start, end - 1]);
    for (const column of columns) {
      let least = -1;
      let most = -1;
      let unknown = -1;
      for (let i = start; i < end; i++) {
        if (Number.isNaN(column[i])) unknown = i;
        else {
          if (least < 0 || column[i] < column[least]) least = i;
          if (most < 0 || column[i] > column[most]) most = i;
        }
      }
      for (const i of [least, most, unknown]) if (i >= 0) some.add(i);
    }
    kept.push(...[...some].sort((a, c) => a - c));
    start = end;
  }
  return Uint32Array.from(kept);
}

/** Round values within [low, high] on a log axis: 1, 2 and 5 of each decade while these are few, else decades; evenly where all lie in one octave. */
export function logTicks(low, high) {
  const [first, last] = [Math.ceil(Math.log10(low)), Math.floor(Math.log10(high))];
  const within = (every, factors) => {
    const ticks = [];
    for (let e = Math.floor((first - 1) / every) * every; e <= last; e += every) {
      for (const f of factors) ticks.push(Number(`${f}e${e}`));
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  };
  const fine = within(1, [1, 2, 5]);
  if (fine.length < 2) return linearTicks(low, high, MOST_TICKS - 1);
  return fine.length <= MOST_TICKS ? fine : within(Math.ceil((last - first + 1) / MOST_TICKS), [1]);
}

/** Room around what is known of the columns; null where nothing is, or nothing that a log axis has a place for. */
export function rangeOf(columns, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const column of columns) {
    for (const v of column) {
      if (!hasPlace(v, log)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  if (low > high) return null;
  if (log) {
    const pad = Math.max((high / low) ** 0.08, 1.1);
    return [low / pad, high * pad];
  }
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - pad, high + pad];
}

function hasPlace(v, log) {
  return Number.isFinite(v) && (!log || v > 0);
}

const CHARTS = [
  // Validation comes every so many steps: its line spans the others, and each value has a point.
  { id: 'loss', title: 'Loss', log: false, series: [{ name: 'loss' }, { name: 'validationLoss', label: 'validation', sparse: true }] },
  { id: 'norm', title: 'Global norm', log: true, series: [{ name: 'globalNorm' }], flag: 'nonFinite' },
  { id: 'rate', title: 'Learning rate', log: false, series: [{ name: 'learningRate' }] },
  { id: 'layer', title: 'Pinned layer', log: true, series: [{ name: 'layer' }] },
];

export function mountCurves(root, page) {
  const { store, other, view, signal } = page;
  const panes = other ? [store, other] : [store];
  const on = { signal };
  const grid = element('div', { class: 'curves' });
  root.append(element('h2', {}, 'Curves'), grid);
  let drag = null;
  const charts = CHARTS.map((chart) => {
    const parts = {
      value: element('span', { class: 'curve-value' }),
      name: element('span', { class: 'curve-title' }, chart.title),
      base: element('canvas'),
      over: element('canvas', { role: 'img', 'aria-label': chart.title }),
      empty: element('p', { class: 'curve-empty dim' }),
    };
    parts.box = element('div', { class: 'curve-plot', hidden: true }, parts.base, parts.over);
    grid.append(element('figure', { class: 'curve' }, element('figcaption', {}, parts.name, ' ', parts.value), parts.box, parts.empty));
    listen(parts.over);
    return { ...chart, ...parts };
  });

  /** What a pane shows in a chart, decimated: steps, a column for each series, and the steps without a number. */
  function contents(chart, pane, buckets) {
    const { from, to } = view.visible(pane);
    let columns;
    let bad;
    let zero = [];
    if (chart.id === 'layer') {
      const index = pane.layerIndex(view.get('layer'));
      if (index < 0) return null;
      const { step, code } = pane.layerSeries(index, from, to);
      columns = { step, layer: Float64Array.from(code, (c) => (isValue(c) ? normOf(c) : NaN)) };
      bad = step.filter((_, i) => code[i] === NAN || code[i] === INF);
      zero = step.filter((_, i) => code[i] === ZERO);
    } else {
      const names = chart.series.map(({ name }) => name);
      columns = pane.columns(chart.flag ? [...names, chart.flag] : names, from, to);
      bad = chart.flag ? columns.step.filter((_, i) => columns[chart.flag][i] === 1) : [];
    }
    const all = chart.series.map(({ name }) => columns[name]);
    const kept = keepIndices(columns.step, all, buckets);
    const reduced = (column) => Float64Array.from(kept, (i) => column[i]);
    return { from, to, step: reduced(columns.step), columns: all.map(reduced), bad, zero };
  }

  const width = () => Math.max(200, Math.floor(grid.firstElementChild.clientWidth));

  const draw = drawer(root, () => {
    const wide = width();
    for (const chart of charts) {
      const found = panes.map((pane) => contents(chart, pane, wide)).filter((c) => c !== null);
      const range = rangeOf(found.flatMap((c) => c.columns), chart.log);
      const any = range !== null || found.some((c) => c.bad.length + c.zero.length > 0);
      const layer = chart.id === 'layer' ? view.get('layer') : null;
      chart.box.hidden = !any;
      chart.empty.hidden = any;
      chart.empty.textContent = chart.id === 'layer' && layer === null ? 'Pin a layer to see its norm.' : 'Not published in these steps.';
      chart.name.textContent = layer === null ? chart.title : clean(layer, 36);
      chart.name.title = layer === null ? '' : clean(layer, 500);
      if (any) paint(chart, found, range ?? [0.1, 10], wide);
    }
    follow();
  }, signal);

  function paint(chart, found, [low, high], wide) {
    const context = surface(chart.base, wide, PLOT.height);
    const bottom = PLOT.height - PLOT.bottom;
    const scaled = chart.log ? Math.log : (v) => v;
    const y = (v) => PLOT.top + ((scaled(high) - scaled(v)) / (scaled(high) - scaled(low))) * (bottom - PLOT.top);
    context.font = '11px system-ui, sans-serif';
    context.strokeStyle = ink('--grid');
    context.fillStyle = ink('--dim');
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (const tick of chart.log ? logTicks(low, high) : linearTicks(low, high, MOST_TICKS - 1)) {
      const at = Math.round(y(tick)) + 0.5;
      stroke(context, [[PLOT.left, at], [wide - PLOT.right, at]]);
      context.fillText(chart.id === 'rate' ? number(tick, 4) : formatNorm(tick), PLOT.left - 6, at);
    }
    const { from, to } = view.visible(store);
    context.textAlign = 'center';
    for (const step of stepTicks(from, to, Math.floor(wide / 90))) {
      if (step >= 0) context.fillText(formatStep(step), Math.min(placeOf(step, wide), wide - 16), PLOT.height - 8);
    }
    context.save();
    context.beginPath();
    context.rect(PLOT.left, 0, wide - PLOT.left - PLOT.right, PLOT.height);
    context.clip();
    found.forEach((pane, p) => {
      // The second run's steps lie so that both panes end together.
      const x = (step) => placeOf(step - pane.to + to, wide);
      pane.columns.forEach((column, s) => {
        context.strokeStyle = context.fillStyle = ink(`--series${2 * p + s + 1}`);
        context.lineWidth = 1.3;
        context.setLineDash(p > 0 ? [5, 3] : s > 0 ? [2, 2] : []);
        let line = [];
        pane.step.forEach((step, i) => {
          const known = hasPlace(column[i], chart.log);
          if (known) line.push([x(step), y(column[i])]);
          else if (!chart.series[s].sparse) {
            stroke(context, line);
            line = [];
          }
        });
        stroke(context, line);
        if (chart.series[s].sparse) for (const [px, py] of line) context.fillRect(px - 1.5, py - 1.5, 3, 3);
      });
    });
    context.setLineDash([]);
    context.lineWidth = 1.5;
    context.fillStyle = ink('--dim');
    spaced(wide, 2, found[0]?.zero, (x) => context.fillRect(x - 1, bottom - 6, 2, 6));
    context.strokeStyle = ink('--nan');
    spaced(wide, 6, found[0]?.bad, (x) => {
      stroke(context, [[x - 3, 3], [x + 3, 9]]);
      stroke(context, [[x + 3, 3], [x - 3, 9]]);
    });
    context.restore();
  }

  /** Calls visit(x) for steps that are at least so many pixels apart. */
  function spaced(wide, least, steps, visit) {
    let last = -Infinity;
    for (const step of steps ?? []) {
      const x = placeOf(step, wide);
      if (x - last < least) continue;
      last = x;
      visit(x);
    }
  }

  /** Middle of the step's column in pixels. */
  function placeOf(step, wide) {
    const { from, to } = view.visible(store);
    return PLOT.left + ((step - from + 0.5) / (to - from + 1)) * (wide - PLOT.left - PLOT.right);
  }

  function stepAt(event) {
    const { from, to } = view.visible(store);
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left - PLOT.left) / (box.width - PLOT.left - PLOT.right);
    return Math.max(0, from, Math.min(to, Math.floor(from + share * (to - from + 1))));
  }

  /** Values and lines at the step that all views share. */
  function follow() {
    const wide = width();
    const step = view.step(store);
    for (const chart of charts) {
      if (chart.box.hidden) {
        chart.value.textContent = '';
        continue;
      }
      const said = panes.map((pane) => valueOf(chart, pane, view.step(pane))).join(' | ');
      chart.value.textContent = said;
      chart.over.setAttribute('aria-label', `${chart.name.textContent} at step ${formatStep(step)}: ${said}`);
      const context = surface(chart.over, wide, PLOT.height);
      const upright = (at, name) => {
        const x = Math.round(placeOf(at, wide)) + 0.5;
        if (x < PLOT.left || x > wide - PLOT.right) return;
        context.strokeStyle = ink(name);
        stroke(context, [[x, PLOT.top], [x, PLOT.height - PLOT.bottom]]);
      };
      if (view.get('cursor') !== null) upright(view.get('cursor'), '--accent');
      if (view.get('hover') !== null) upright(view.get('hover'), '--dim');
      if (drag?.moved) {
        const [left, right] = [placeOf(Math.min(drag.from, drag.to), wide), placeOf(Math.max(drag.from, drag.to), wide)];
        context.globalAlpha = 0.18;
        context.fillStyle = ink('--accent');
        context.fillRect(left, PLOT.top, right - left, PLOT.height - PLOT.top - PLOT.bottom);
        context.globalAlpha = 1;
      }
    }
  }
  const again = drawer(root, follow, signal);

  function valueOf(chart, pane, step) {
    if (chart.id === 'layer') {
      const index = pane.layerIndex(view.get('layer'));
      const code = pane.code(step, index);
      return index < 0 ? '–' : markOf(code) ?? formatNorm(normOf(code));
    }
    if (chart.flag && pane.value(chart.flag, step) === 1) return 'not finite';
    return chart.series.map(({ name, label }) => {
      const value = pane.value(name, step);
      if (Number.isNaN(value)) return label ? '' : '–';
      return label ? `, ${label} ${formatNorm(value)}` : formatNorm(value);
    }).join('');
  }

  function listen(canvas) {
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      drag = { from: stepAt(event), to: stepAt(event), x: event.clientX, moved: false };
    }, on);
    canvas.addEventListener('pointermove', (event) => {
      view.set({ hover: stepAt(event) });
      if (drag) {
        drag.to = stepAt(event);
        drag.moved ||= Math.abs(event.clientX - drag.x) > 4;
      }
      again();
    }, on);
    canvas.addEventListener('pointerup', () => {
      if (!drag) return;
      const { from, to, moved } = drag;
      drag = null;
      if (!moved) view.set({ cursor: to }, { push: true });
      else if (Math.abs(to - from) + 1 >= MIN_SPAN) view.set({ to: Math.max(from, to), span: Math.abs(to - from) + 1 }, { push: true });
      again();
    }, on);
    canvas.addEventListener('pointercancel', () => {
      drag = null;
      again();
    }, on);
    canvas.addEventListener('pointerleave', () => view.set({ hover: null }), on);
    canvas.addEventListener('dblclick', () => view.set({ to: null, span: DEFAULTS.span }, { push: true }), on);
  }

  view.addEventListener('change', ({ changed }) => {
    if (['to', 'to2', 'span', 'layer', 'theme'].some((k) => changed.has(k))) draw();
    else if (changed.has('hover') || changed.has('cursor')) again();
  }, on);
  for (const pane of panes) {
    pane.addEventListener('change', ({ kinds, from, to }) => {
      const seen = view.visible(pane);
      if (kinds.has('manifest') || (kinds.has('steps') && to >= seen.from && from <= seen.to)) draw();
    }, on);
  }
  draw();
}

function stroke(context, points) {
  if (points.length === 0) return;
  context.beginPath();
  // A lone point is a dot.
  if (points.length === 1) context.lineTo(points[0][0] - 0.7, points[0][1]);
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}
