// The ranks of one step: who stands out, who is missing, on which host.

import { clean, formatStep } from './scale.js';
import { ink, palette } from './colours.js';
import { choice, drawer, element, latest, surface } from './forms.js';
import { asNumber, count, counted, duration, number, signed } from './words.js';
import { divergence, peersOf } from './statistics.js';

const HOST_SIZE = 8;
const LABELLED = 64;
const ROWS = 8;

/** More marks than these are told by their cells alone: rings would cover the others. */
const MOST_RINGS = 400;

/** As RANK_DIVERGENCE has it: octaves and scatters from which a rank is far out. */
const FAR_OCTAVES = 2;
const FAR_Z = 8;

const MEASURES = [
  ['z', 'divergence'],
  ['lagMs', 'arrival lag'],
  ['dropped', 'dropped records'],
  ['loss', 'loss'],
];

/**
 * All that is known of each rank of a step, from /api/step.
 *
 * @return {rank, host, device, norm, octaves, z, lagMs, dropped, loss, missing, conflicting, far}
 *     by rank, ascending; unknown numbers are null
 */
export function rankRows(detail, manifest) {
  const told = detail.ranks ?? { rank: [] };
  const missing = new Set(detail.missingRanks ?? []);
  const conflicting = new Set(Array.isArray(detail.conflictingRanks) ? detail.conflictingRanks : []);
  const at = new Map(told.rank.map((r, i) => [r, i]));
  const world = manifest?.worldSize ?? 0;
  const ranks = [...new Set([...told.rank, ...missing, ...conflicting])].sort((a, b) => a - b);
  const group = peersOf(manifest?.mesh, world);
  const norms = ranks.map((r) => asNumber(told.localNorm?.[at.get(r)]));
  const { octaves, z } = divergence(norms, ranks.map(group));
  const of = (column, rank) => told[column]?.[at.get(rank)] ?? null;
  return ranks.map((rank, i) => ({
    rank,
    host: of('host', rank),
    device: of('device', rank),
    norm: norms[i],
    octaves: Number.isNaN(octaves[i]) ? null : octaves[i],
    z: Number.isNaN(z[i]) ? null : z[i],
    lagMs: of('lagMs', rank),
    dropped: of('dropped', rank),
    loss: asNumber(of('loss', rank)),
    missing: missing.has(rank),
    conflicting: conflicting.has(rank),
    far: Math.abs(octaves[i]) >= FAR_OCTAVES && Math.abs(z[i]) >= FAR_Z,
  }));
}

/**
 * Ranks by node: by host; a rank whose host nobody tells (it is missing, say) goes with the others
 * of its eight if they have one host, else into a group of its eight.
 *
 * @return [{name, rows}] in the order of the lowest rank
 */
export function byNode(rows) {
  const hosts = new Map();
  for (const { host, rank } of rows) {
    const eight = Math.floor(rank / HOST_SIZE);
    if (host !== null && !hosts.has(eight)) hosts.set(eight, host);
  }
  const groups = new Map();
  for (const row of rows) {
    const eight = Math.floor(row.rank / HOST_SIZE);
    const host = row.host ?? hosts.get(eight) ?? null;
    const name = host ?? `ranks ${eight * HOST_SIZE}–${eight * HOST_SIZE + HOST_SIZE - 1}`;
    if (!groups.has(name)) groups.set(name, { name, rows: [] });
    groups.get(name).rows.push(row);
  }
  return [...groups.values()];
}

/**
 * Places of cells: nodes are blocks, left to right, then down; as large as fits.
 *
 * @param sizes ranks in each node
 * @return {cell: {w, h}, height, label: px above each block, at: [{x, y}, …] of the blocks,
 *     columns: cells beside each other in a block}
 */
export function layoutNodes(sizes, width, height) {
  const most = Math.max(1, ...sizes);
  const total = sizes.reduce((a, b) => a + b, 0);
  const labelled = total <= LABELLED;
  const shapes = labelled ? [{ w: 84, h: 40 }, { w: 64, h: 36 }, { w: 44, h: 22 }, { w: 33, h: 20 }, { w: 26, h: 18 }]
    : [14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2].map((s) => ({ w: s, h: s }));
  let plan = null;
  for (const cell of shapes) {
    const label = labelled ? 16 : 0;
    const gap = labelled ? 12 : Math.max(1, Math.round(cell.w / 3));
    const fitting = Math.max(1, Math.floor((width + gap) / cell.w));
    const columns = Math.min(labelled ? most : most <= HOST_SIZE ? Math.ceil(most / 2) : Math.ceil(Math.sqrt(most * 2)), fitting);
    const block = { w: columns * cell.w + gap, h: Math.ceil(most / columns) * cell.h + label + gap };
    const across = Math.max(1, Math.floor((width + gap) / block.w));
    const used = Math.ceil(sizes.length / across) * block.h;
    plan = {
      cell,
      columns,
      label,
      height: used,
      blockWidth: block.w - gap,
      at: sizes.map((_, i) => ({ x: (i % across) * block.w, y: Math.floor(i / across) * block.h })),
    };
    if (used <= height) break;
  }
  return plan;
}

/** The most remarkable first: conflicting, missing, far out, then by distance, lag and drops. */
export function remarkable(rows) {
  const weight = (r) => (r.conflicting ? 4 : 0) + (r.missing ? 2 : 0) + (r.far ? 1 : 0);
  const off = (r) => Math.abs(r.z ?? 0);
  return [...rows].sort((a, b) => weight(b) - weight(a) || off(b) - off(a)
      || (b.dropped ?? 0) - (a.dropped ?? 0) || (b.lagMs ?? 0) - (a.lagMs ?? 0) || a.rank - b.rank);
}

/** What is said of a rank, in one line. */
export function rankSentence(row) {
  const parts = [`Rank ${row.rank}`];
  if (row.host) parts.push(clean(row.host, 40) + (row.device ? ` ${clean(row.device, 20)}` : ''));
  if (row.missing) parts.push('missing: its shards did not come');
  if (row.conflicting) parts.push('conflicting: it sent different shards for the same step');
  if (row.norm !== null) parts.push(`local norm ${number(row.norm)}`);
  if (row.octaves !== null) parts.push(`${signed(row.octaves, 2)} octaves from its peers, z ${signed(row.z, 2)}${row.far ? ', far out' : ''}`);
  if (row.lagMs !== null) parts.push(`lag ${duration(row.lagMs)}`);
  if (row.dropped) parts.push(`${count(row.dropped)} dropped`);
  if (row.loss !== null) parts.push(`loss ${number(row.loss)}`);
  return parts.join(' · ');
}

export function mountRanks(root, page) {
  const { store, view, signal } = page;
  const on = { signal };
  const measure = choice(MEASURES, 'z', { 'aria-label': 'Colour ranks by' });
  const title = element('h2', {}, 'Ranks');
  const summary = element('p', { class: 'view-summary' });
  const base = element('canvas', { class: 'ranks-base' });
  const marks = element('canvas', {
    class: 'ranks-marks', tabIndex: 0, role: 'spinbutton', 'aria-label': 'Rank', 'aria-valuemin': '0',
  });
  const stage = element('div', { class: 'ranks-stage' }, base, marks);
  const readout = element('p', { class: 'reading' });
  const legend = element('p', { class: 'note' });
  const body = element('tbody');
  const table = element('table', { class: 'dense ranks-table' },
      element('caption', {}, 'Ranks that stand out'),
      element('thead', {}, element('tr', {}, ['rank', 'host', 'device', 'z', 'octaves', 'lag', 'dropped', 'loss']
        .map((name) => element('th', { scope: 'col' }, name)))),
      body);
  root.append(
      element('div', { class: 'view-head' }, title, element('label', { class: 'control' }, 'colour ', measure)),
      summary,
      element('div', { class: 'ranks-body' },
          element('div', { class: 'ranks-left' }, stage, readout, legend),
          element('div', { class: 'ranks-right' }, table)));

  let rows = [];
  let nodes = [];
  let index = new Map();
  let plan = null;
  let pointed = null;
  let shownStep = -1;
  let message = 'Waiting for the first step.';
  let layerOutliers = new Set();
  let detail = null;

  const wish = latest({
    wanted: () => {
      const step = store.nearest(view.step(store));
      return step >= 0 ? step : null;
    },
    load: (step) => store.detail(step),
    show: (value, step, error) => {
      detail = value;
      shownStep = step;
      rows = value ? rankRows(value, store.manifest) : [];
      message = error ? error.message : rows.length ? '' : 'Nothing is published of single ranks in this step.';
      nodes = byNode(rows);
      index = new Map(rows.map((row, i) => [row.rank, i]));
      plan = null;
      draw();
    },
    pause: () => (rows.length > 1024 ? 1500 : 500),
    signal,
  });

  const draw = drawer(root, () => {
    wish();
    paintBase();
    paintMarks();
    tell();
    list();
  }, signal);
  const redrawMarks = drawer(root, () => {
    paintMarks();
    tell();
  }, signal);

  const look = drawer(root, wish, signal);

  function place() {
    const width = Math.max(160, stage.clientWidth);
    plan = layoutNodes(nodes.map((n) => n.rows.length), width, rows.length <= LABELLED ? 400 : 500);
    plan.width = width;
    plan.spot = new Map();
    nodes.forEach((node, n) => node.rows.forEach((row, i) => {
      plan.spot.set(row.rank, {
        x: plan.at[n].x + (i % plan.columns) * plan.cell.w,
        y: plan.at[n].y + plan.label + Math.floor(i / plan.columns) * plan.cell.h,
      });
    }));
  }

  function paintBase() {
    if (!plan || plan.width !== Math.max(160, stage.clientWidth)) place();
    stage.style.height = `${Math.max(rows.length ? plan.height : 0, 1)}px`;
    const context = surface(base, plan.width, Math.max(plan.height, 1));
    const colour = colourOf(rows, measure.value);
    const { w, h } = plan.cell;
    const inset = w > 4 ? 1 : w > 2 ? 0.5 : 0;
    const labelled = plan.label > 0;
    const text = ink('--text');
    const small = [];
    context.textBaseline = 'middle';
    layerOutliers = new Set((detail?.outliers ?? [])
      .filter((o) => o.layer === store.layerIndex(view.get('layer'))).map((o) => o.rank));
    if (labelled) {
      context.font = '11px system-ui, sans-serif';
      context.fillStyle = ink('--dim');
      nodes.forEach((node, n) => context.fillText(clean(node.name, Math.max(6, Math.floor(plan.blockWidth / 6.5))), plan.at[n].x, plan.at[n].y + 7, plan.blockWidth));
    }
    if (!labelled) {
      context.fillStyle = ink('--grid');
      context.fillRect(0, 0, plan.width, plan.height);
    }
    for (const row of rows) {
      const { x, y } = plan.spot.get(row.rank);
      const box = [x + inset, y + inset, w - 2 * inset, h - 2 * inset];
      if (row.missing && labelled) {
        context.strokeStyle = ink('--critical');
        context.lineWidth = 1.5;
        context.strokeRect(box[0] + 0.5, box[1] + 0.5, box[2] - 1, box[3] - 1);
        missingMark(context, [box[0] + box[2] - 12, box[1] + 4, 8, 8]);
      } else if (row.missing) missingMark(context, box);
      else {
        context.fillStyle = colour(row);
        context.fillRect(...box);
      }
      if (row.conflicting) conflictMark(context, box);
      if (row.far && w > 4) {
        context.strokeStyle = text;
        context.lineWidth = labelled ? 2 : 1;
        context.strokeRect(box[0] + 0.5, box[1] + 0.5, box[2] - 1, box[3] - 1);
      }
      if (layerOutliers.has(row.rank) && w > 4) {
        context.fillStyle = text;
        context.beginPath();
        const size = Math.min(8, w / 2);
        context.moveTo(box[0], box[1]);
        context.lineTo(box[0] + size, box[1]);
        context.lineTo(box[0], box[1] + size);
        context.fill();
      }
      if (w <= 4 && (row.missing || row.conflicting || row.far)) small.push(row);
      if (labelled) label(context, row, box, row.missing ? ink('--text') : readableOn(colour(row)));
    }
    if (small.length <= MOST_RINGS) for (const row of small) enlarge(context, row);
  }

  /** What would be lost in a cell of a few pixels, in the same shapes but larger. */
  function enlarge(context, row) {
    const { x, y } = plan.spot.get(row.rank);
    const middle = [x + plan.cell.w / 2, y + plan.cell.h / 2];
    const box = [middle[0] - 4.5, middle[1] - 4.5, 9, 9];
    context.fillStyle = ink('--panel');
    context.fillRect(...box);
    if (row.missing) missingMark(context, box);
    if (row.conflicting) conflictMark(context, box);
    context.strokeStyle = ink(row.missing ? '--critical' : row.conflicting ? '--warning' : '--text');
    context.strokeRect(...box);
  }

  function label(context, row, [x, y, w, h], fill) {
    const tall = h > 30;
    context.fillStyle = fill;
    context.font = '600 12px system-ui, sans-serif';
    context.fillText(String(row.rank), x + 4, y + (tall ? 11 : h / 2));
    context.font = '11px system-ui, sans-serif';
    const value = row.missing ? 'missing' : row.conflicting ? 'conflict' : valueText(row, measure.value);
    if (tall) context.fillText(value, x + 4, y + h - 9, w - 8);
  }

  function paintMarks() {
    if (!plan) return;
    const context = surface(marks, plan.width, Math.max(plan.height, 1));
    const { w, h } = plan.cell;
    const outline = (rank, name, width) => {
      const spot = plan.spot.get(rank);
      if (!spot) return;
      context.strokeStyle = ink(name);
      context.lineWidth = width;
      context.strokeRect(spot.x - 1, spot.y - 1, w + 2, h + 2);
      if (w <= 8) {
        context.beginPath();
        context.arc(spot.x + w / 2, spot.y + h / 2, 9, 0, 7);
        context.stroke();
      }
    };
    if (pointed !== null) outline(pointed, '--dim', 1.5);
    if (view.get('rank') !== null) outline(view.get('rank'), '--accent', 2.5);
  }

  function tell() {
    const rank = pointed ?? view.get('rank');
    const row = rows[index.get(rank)];
    readout.textContent = row ? rankSentence(row)
      : rows.length ? 'Point at a rank to read it, click to pin it.' : message;
    marks.setAttribute('aria-valuemax', String(Math.max(0, (rows.at(-1)?.rank ?? 0))));
    marks.setAttribute('aria-valuenow', String(rank ?? 0));
    marks.setAttribute('aria-valuetext', row ? rankSentence(row) : 'none chosen');
  }

  function list() {
    title.textContent = shownStep >= 0 ? `Ranks at step ${formatStep(shownStep)}` : 'Ranks';
    const missing = rows.filter((r) => r.missing).length;
    const conflicting = rows.filter((r) => r.conflicting).length;
    const far = rows.filter((r) => r.far).length;
    const dropped = rows.reduce((sum, r) => sum + (r.dropped ?? 0), 0);
    summary.textContent = !rows.length ? message : [
      `${counted(rows.length, 'rank')} on ${counted(nodes.length, 'node')}`,
      `${count(missing)} missing`, `${count(conflicting)} conflicting`, `${count(far)} far out`,
      `${count(dropped)} dropped`].join(' · ');
    legend.textContent = legendText(rows, measure.value)
      + (layerOutliers.size ? '; corner ◤ farthest in the pinned layer' : '');
    const top = remarkable(rows).slice(0, ROWS);
    body.replaceChildren(...top.map((row) => {
      const state = row.missing ? ' ✕ missing' : row.conflicting ? ' ≠ conflicting' : '';
      const cells = [
        element('button', { type: 'button', class: 'link', onclick: () => pin(row.rank) }, `${row.rank}${state}`),
        clean(row.host ?? '–', 28), clean(row.device ?? '–', 14),
        row.z === null ? '–' : signed(row.z, 2) + (row.far ? ' !' : ''), row.octaves === null ? '–' : signed(row.octaves, 2),
        duration(row.lagMs), count(row.dropped), number(row.loss)];
      return element('tr', { class: row.rank === view.get('rank') ? 'pinned' : '' },
          cells.map((cell, i) => element('td', i === 1 ? { title: clean(row.host ?? '', 500) } : {}, cell)));
    }));
  }

  function pin(rank) {
    view.set({ rank: view.get('rank') === rank ? null : rank }, { push: true });
  }

  function rankAt(event) {
    if (!plan) return null;
    const box = marks.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { w, h } = plan.cell;
    for (let n = 0; n < nodes.length; n++) {
      const { x: left, y: top } = plan.at[n];
      if (x < left || y < top || x >= left + plan.columns * w) continue;
      const i = Math.floor((y - top - plan.label) / h) * plan.columns + Math.floor((x - left) / w);
      const row = y - top >= plan.label ? nodes[n].rows[i] : undefined;
      if (row) return row.rank;
    }
    return null;
  }

  marks.addEventListener('pointermove', (event) => {
    const rank = rankAt(event);
    if (rank !== pointed) {
      pointed = rank;
      redrawMarks();
    }
  }, on);
  marks.addEventListener('pointerleave', () => {
    pointed = null;
    redrawMarks();
  }, on);
  marks.addEventListener('click', (event) => {
    const rank = rankAt(event);
    if (rank !== null) pin(rank);
  }, on);
  marks.addEventListener('keydown', (event) => {
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: plan?.columns ?? 1, ArrowUp: -(plan?.columns ?? 1), PageDown: 64, PageUp: -64 };
    const here = index.get(pointed ?? view.get('rank')) ?? -1;
    let next = null;
    if (event.key in moves) next = Math.min(rows.length - 1, Math.max(0, here + moves[event.key]));
    else if (event.key === 'Home') next = 0;
    else if (event.key === 'End') next = rows.length - 1;
    else if ((event.key === 'Enter' || event.key === ' ') && pointed !== null) pin(pointed);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (next !== null && rows.length) {
      pointed = rows[next].rank;
      redrawMarks();
    }
  }, on);
  measure.addEventListener('change', draw, on);
  view.addEventListener('change', ({ changed }) => {
    if (['cursor', 'hover', 'to'].some((key) => changed.has(key))) look();
    if (changed.has('theme') || changed.has('rank') || changed.has('layer')) draw();
  }, on);
  store.addEventListener('change', ({ kinds }) => {
    if (kinds.has('steps') || kinds.has('manifest')) look();
  }, on);
  draw();
}

function valueText(row, name) {
  if (name === 'z') return row.z === null ? '–' : `z ${signed(row.z, 2)}`;
  if (name === 'lagMs') return duration(row.lagMs);
  return name === 'dropped' ? count(row.dropped) : number(row.loss);
}

/** The heat map's colours of deviations: about 0 for z, its upper half for the others. */
function colourOf(rows, name) {
  const table = palette('deviation');
  const none = ink('--grid');
  const shade = (share) => css(table[Math.round(share * 255)]);
  if (name === 'z') {
    return ({ z }) => (z === null ? none : shade(0.5 + Math.max(-0.5, Math.min(0.5, z / FAR_Z / 2))));
  }
  const values = rows.map((row) => row[name]).filter(Number.isFinite);
  const [low, high] = extent(values);
  return (row) => {
    const value = row[name];
    if (value === null) return none;
    if (!Number.isFinite(value)) return ink('--nan');
    return shade(high > low ? 0.5 + (value - low) / (high - low) / 2 : 0.5);
  };
}

function extent(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

/** A pixel of a palette as CSS. */
function css(pixel) {
  return `rgb(${pixel & 255}, ${(pixel >> 8) & 255}, ${(pixel >> 16) & 255})`;
}

/** Black or white, whichever reads better on the colour. */
function readableOn(colour) {
  const [r, g, b] = colour.match(/[\d.]+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? '#000' : '#fff';
}

function legendText(rows, name) {
  const marks = 'crossed: missing; striped: conflicting; outlined: far out';
  if (name === 'z') return `z: distance of log2 norm from the median of the rank's peers, over their scatter; full colour at ±${FAR_Z}. ${marks}`;
  const values = rows.map((row) => row[name]).filter(Number.isFinite);
  if (!values.length) return `Not published in this step. ${marks}`;
  const [low, high] = extent(values);
  const say = name === 'lagMs' ? duration : name === 'dropped' ? count : number;
  return `from ${say(low)} (pale) to ${say(high)} (strong). ${marks}`;
}

function missingMark(context, [x, y, w, h]) {
  context.strokeStyle = ink('--critical');
  context.lineWidth = w > 8 ? 1.5 : 1;
  if (w > 4) context.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + w, y + h);
  context.moveTo(x + w, y);
  context.lineTo(x, y + h);
  context.stroke();
}

function conflictMark(context, [x, y, w, h]) {
  context.strokeStyle = ink('--warning');
  context.lineWidth = Math.max(1, h / 8);
  context.beginPath();
  for (const share of [0.25, 0.5, 0.75]) {
    context.moveTo(x, y + h * share);
    context.lineTo(x + w, y + h * share);
  }
  context.stroke();
}
