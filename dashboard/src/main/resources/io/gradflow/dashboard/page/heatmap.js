/** Layers by steps: the heat map of a run, or of two, with its buttons and its legend. */

import { gradient, marks, patterned } from './colours.js';
import { element } from './forms.js';
import { frames } from './frames.js';
import { DEVIATION_OCTAVES, Pane } from './pane.js';
import { clean, formatNorm } from './scale.js';

window.gradflowFrames = frames;

function named(text, max) {
  const node = element('span', { class: 'name' }, clean(text, max));
  node.title = clean(text, 500);
  return node;
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
  new Uint32Array(image.data.buffer).set(patterned(mark, 16, 10));
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
    button('−', 'Show more steps (-)', () => view.zoom(store, 1 / 0.7), signal),
    button('+', 'Show fewer steps (+)', () => view.zoom(store, 0.7), signal),
    button('Reset', 'Usual zoom at the newest step (0)', () => view.reset(), signal),
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
    built.push(new Pane(holder, { store: each, view, signal }));
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
