/** The small box beside the pointer that says what is under it. */

import { markOf, normOf } from './cells.js';
import { element } from './forms.js';
import { clean, formatNorm, formatStep } from './scale.js';

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

/** What is known of a cell: pairs of name and value. */
export function cellLines(store, step, layer) {
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

/** Lines are pairs of a name and a value. */
export class Tip {
  #root;
  #box;

  /** In `root`, whose position the box's is relative to. */
  constructor(root) {
    this.#root = root;
    this.#box = element('div', { class: 'tip' });
    this.#box.hidden = true;
    root.append(this.#box);
  }

  hide() {
    this.#box.hidden = true;
  }

  show(event, lines) {
    const tip = this.#box;
    tip.replaceChildren();
    for (const [name, value] of lines) {
      const line = element('div');
      line.append(element('span', { class: 'dim' }, `${name} `), element('span', { class: name === 'layer' ? 'name' : '' }, value));
      tip.append(line);
    }
    tip.hidden = false;
    const box = this.#root.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    tip.style.left = `${x + 16 + tip.offsetWidth > box.width ? x - tip.offsetWidth - 12 : x + 16}px`;
    tip.style.top = `${Math.max(0, Math.min(y + 14, box.height - tip.offsetHeight))}px`;
  }
}
