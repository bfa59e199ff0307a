// Loss, global norm, learning rate and the pinned layer's norm over steps.

import uPlot from './vendor/uplot/uPlot.js';
import { INF, NAN, ZERO, isValue, markOf, normOf } from './cells.js';
import { clean, formatNorm, formatStep } from './scale.js';
import { ink } from './colours.js';
import { drawer, element } from './forms.js';
import { number } from './words.js';

const HEIGHT = 132;

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

/** For a plot: null where there is no point, also where a log axis has no place for it. */
export function plotted(column, indices, log) {
  return Array.from(indices, (i) => (Number.isFinite(column[i]) && (!log || column[i] > 0) ? column[i] : null));
}

/** The four charts: names of columns, of which the second is drawn dashed. */
const CHARTS = [
  { id: 'loss', title: 'Loss', log: false, series: [['loss', 'loss'], ['validationLoss', 'validation']] },
  { id: 'norm', title: 'Global norm', log: true, series: [['globalNorm', 'norm']], flag: 'nonFinite' },
  { id: 'rate', title: 'Learning rate', log: false, series: [['learningRate', 'rate']] },
  { id: 'layer', title: 'Pinned layer', log: true, series: [['layer', 'norm']] },
];

export function mountCurves(root, page) {
  const { store, other, view, signal } = page;
  const stores = other ? [store, other] : [store];
  const on = { signal };
  const grid = element('div', { class: 'curves' });
  root.append(element('h2', {}, 'Curves'), grid);
  let pointing = false;
  const charts = CHARTS.map((chart) => {
    const value = element('span', { class: 'curve-value' });
    const name = element('span', { class: 'curve-title' }, chart.title);
    const box = element('div', { class: 'curve-plot' });
    const empty = element('p', { class: 'curve-empty dim', hidden: true });
    const cell = element('figure', { class: 'curve' }, element('figcaption', {}, name, ' ', value), box, empty);
    grid.append(cell);
    return { ...chart, value, name, box, empty, plot: null, bad: [], zero: [], shape: '' };
  });

  /** Columns of a chart in a pane, decimated: {step, values, bad: steps that are not finite, zero: steps of exactly zero}. */
  function columnsOf(chart, pane, buckets) {
    const { from, to } = view.visible(pane);
    if (chart.id !== 'layer') {
      const names = chart.series.map(([name]) => name);
      const columns = pane.columns(chart.flag ? [...names, chart.flag] : names, from, to);
      return reduce(chart, columns, names, buckets, (i) => chart.flag !== undefined && columns[chart.flag][i] === 1);
    }
    const index = pane.layerIndex(view.get('layer'));
    if (index < 0) return null;
    const series = pane.layerSeries(index, from, to);
    const layer = Float64Array.from(series.code, (c) => (isValue(c) ? normOf(c) : NaN));
    return reduce(chart, { step: series.step, layer }, ['layer'], buckets,
        (i) => series.code[i] === NAN || series.code[i] === INF, (i) => series.code[i] === ZERO);
  }

  function reduce(chart, columns, names, buckets, isBad, isZero = () => false) {
    const kept = keepIndices(columns.step, names.map((name) => columns[name]), buckets);
    const bad = [];
    const zero = [];
    columns.step.forEach((step, i) => {
      if (isBad(i)) bad.push(step);
      if (isZero(i)) zero.push(step);
    });
    return {
      step: Array.from(kept, (i) => columns.step[i]),
      values: names.map((name) => plotted(columns[name], kept, chart.log)),
      bad,
      zero,
    };
  }

  const draw = drawer(root, () => {
    const width = Math.max(200, Math.floor(grid.firstElementChild.clientWidth));
    const { from, to } = view.visible(store);
    for (const chart of charts) {
      const found = stores.map((pane) => columnsOf(chart, pane, Math.max(100, width)));
      const known = found.filter((c) => c !== null);
      const any = known.some((c) => c.values.some((v) => v.some((x) => x !== null)) || c.bad.length + c.zero.length > 0);
      chart.box.hidden = !any;
      chart.empty.hidden = any;
      if (!any) {
        chart.empty.textContent = chart.id === 'layer' && view.get('layer') === null ? 'Pin a layer to see its norm.' : 'Not published in these steps.';
        chart.value.textContent = '';
      }
      chart.name.textContent = chart.id === 'layer' && view.get('layer') !== null ? clean(view.get('layer'), 36) : chart.title;
      chart.name.title = chart.id === 'layer' ? clean(view.get('layer') ?? '', 500) : '';
      if (!any) continue;
      // The second run's steps are shifted so that both panes end together.
      const shift = other ? view.visible(other).to - to : 0;
      const tables = found.map((c, i) => c && [i === 0 ? c.step : c.step.map((s) => s - shift), ...c.values]);
      const blank = () => [[], ...chart.series.map(() => [])];
      const data = tables.length === 1 ? tables[0] : uPlot.join(tables.map((t) => t ?? blank()));
      chart.bad = found[0]?.bad ?? [];
      chart.zero = found[0]?.zero ?? [];
      ensure(chart, width);
      chart.plot.batch(() => {
        chart.plot.setData(data, false);
        // Bounds at half steps, so that the first and the last have room.
        chart.plot.setScale('x', { min: from - 0.5, max: to + 0.5 });
      });
    }
    follow();
  }, signal);

  function ensure(chart, width) {
    const wanted = `${width} ${ink('--text')}`;
    if (chart.plot && chart.shape === wanted) return;
    if (chart.plot && chart.shape.split(' ').slice(1).join(' ') === ink('--text')) {
      chart.plot.setSize({ width, height: HEIGHT });
    } else {
      chart.plot?.destroy();
      chart.plot = new uPlot(options(chart, width), [[], ...stores.flatMap(() => chart.series.map(() => []))], chart.box);
    }
    chart.shape = wanted;
  }

  function options(chart, width) {
    const axis = { stroke: ink('--dim'), grid: { stroke: ink('--grid'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const series = stores.flatMap((_, pane) => chart.series.map(([, label], i) => ({
      label, stroke: ink(pane === 0 ? ['--series1', '--series2'][i] : ['--series3', '--series4'][i]), width: 1.4,
      dash: pane + i > 0 ? (pane === 1 ? [5, 3] : [2, 2]) : undefined,
      points: { show: i === 1 && chart.id === 'loss', size: 4 }, spanGaps: i === 1,
    })));
    return {
      width, height: HEIGHT, legend: { show: false }, padding: [8, 10, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 }, y: false },
      scales: {
        x: { time: false, auto: false },
        y: chart.log ? { distr: 3, range: logRange } : { range: (u, low, high) => room(low, high) },
      },
      axes: [
        { ...axis, size: 22, values: (u, ticks) => ticks.map((v) => (Number.isInteger(v) && v >= 0 ? formatStep(v) : '')) },
        { ...axis, size: chart.id === 'rate' ? 70 : 52, space: 26, values: (u, ticks) => ticks.map((v) => (v === null ? '' : chart.id === 'rate' ? number(v, 4) : formatNorm(v))) },
      ],
      series: [{}, ...series],
      hooks: {
        setCursor: [(u) => {
          if (!pointing) return;
          view.set({ hover: u.cursor.left >= 0 ? Math.round(u.posToVal(u.cursor.left, 'x')) : null });
        }],
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const from = Math.round(u.posToVal(u.select.left, 'x'));
          const to = Math.round(u.posToVal(u.select.left + u.select.width, 'x'));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (to - from >= 10) view.set({ to, span: to - from + 1 }, { push: true });
        }],
        draw: [(u) => overlay(u, chart)],
        ready: [(u) => listen(u)],
      },
    };
  }

  function listen(u) {
    let downAt = null;
    u.over.addEventListener('pointerenter', () => { pointing = true; });
    u.over.addEventListener('pointerleave', () => {
      pointing = false;
      view.set({ hover: null });
    });
    u.over.addEventListener('pointerdown', (event) => { downAt = event.clientX; });
    u.over.addEventListener('click', (event) => {
      if (downAt !== null && Math.abs(event.clientX - downAt) < 4) {
        view.set({ cursor: Math.round(u.posToVal(u.cursor.left, 'x')) }, { push: true });
      }
    });
    u.over.addEventListener('dblclick', () => view.set({ to: null, span: 600 }, { push: true }));
  }

  /** The cursor's line, crosses at the top where a value is not finite, ticks at the foot where it is zero. */
  function overlay(u, chart) {
    const { ctx } = u;
    const ratio = devicePixelRatio || 1;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top - 8 * ratio, width, height + 8 * ratio);
    ctx.clip();
    const step = view.get('cursor');
    if (step !== null) {
      const x = u.valToPos(step, 'x', true);
      ctx.strokeStyle = ink('--accent');
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
    }
    ctx.lineWidth = 1.5 * ratio;
    const r = 3 * ratio;
    ctx.strokeStyle = ink('--dim');
    spaced(u, chart.zero, r, (x) => ctx.strokeRect(x - 1, top + height - 2 * r, 2, 2 * r));
    ctx.strokeStyle = ink('--nan');
    spaced(u, chart.bad, 2 * r, (x) => {
      ctx.beginPath();
      ctx.moveTo(x - r, top - r);
      ctx.lineTo(x + r, top + r);
      ctx.moveTo(x + r, top - r);
      ctx.lineTo(x - r, top + r);
      ctx.stroke();
    });
    ctx.restore();
  }

  /** Values and crosshairs at the step that all views share. */
  function follow() {
    const step = view.step(store);
    for (const chart of charts) {
      if (!chart.plot || chart.box.hidden) continue;
      if (!pointing) {
        const hover = view.get('hover');
        chart.plot.setCursor({ left: hover === null ? -10 : chart.plot.valToPos(hover, 'x'), top: hover === null ? -10 : 0 }, false);
      }
      chart.value.textContent = stores.map((pane) => said(chart, pane, pane === store ? step : view.step(pane))).join(' | ');
    }
  }

  function said(chart, pane, step) {
    if (chart.id === 'layer') {
      const index = pane.layerIndex(view.get('layer'));
      const code = pane.code(step, index);
      return index < 0 ? '–' : markOf(code) ?? formatNorm(normOf(code));
    }
    return chart.series.map(([name, label], i) => {
      if (i > 0 && Number.isNaN(pane.value(name, step))) return '';
      const bad = chart.flag && pane.value(chart.flag, step) === 1;
      const value = bad ? 'not finite' : Number.isNaN(pane.value(name, step)) ? '–' : formatNorm(pane.value(name, step));
      return i > 0 ? `, ${label} ${value}` : value;
    }).join('');
  }

  view.addEventListener('change', ({ changed }) => {
    if (['to', 'to2', 'span', 'cursor', 'layer', 'theme'].some((k) => changed.has(k))) draw();
    else if (changed.has('hover')) follow();
  }, on);
  for (const pane of stores) {
    pane.addEventListener('change', ({ kinds, from, to }) => {
      const seen = view.visible(pane);
      if (kinds.has('manifest') || (kinds.has('steps') && to >= seen.from && from <= seen.to)) draw();
    }, on);
  }
  signal.addEventListener('abort', () => charts.forEach((chart) => chart.plot?.destroy()));
  draw();
}

/** Calls visit(x) for steps that are at least so far apart on the canvas. */
function spaced(u, steps, least, visit) {
  let last = -Infinity;
  for (const step of steps) {
    const x = u.valToPos(step, 'x', true);
    if (x - last < least) continue;
    last = x;
    visit(x);
  }
}

function room(low, high) {
  if (low === null || high === null) return [0, 1];
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - pad, high + pad];
}

function logRange(u, low, high) {
  if (low === null || high === null || !(low > 0)) return [0.1, 10];
  const pad = Math.max((high / low) ** 0.08, 1.1);
  return [low / pad, high * pad];
}
