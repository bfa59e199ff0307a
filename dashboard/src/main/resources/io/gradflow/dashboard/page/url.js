/** The view's state in the address, so that a link shows what its sender saw. */

import { DEFAULTS, MIN_SPAN } from './view.js';

const MAX_TEXT = 500;
const MAX_FOLDED = 2000;

/** Of a run that publishes one step in so many, a span of many steps holds few. */
const LONGEST_SPAN = 1e9;

function text(value) {
  const length = Array.from(value).length;
  return length >= 1 && length <= MAX_TEXT ? value : undefined;
}

function whole(low, high = Number.MAX_SAFE_INTEGER) {
  return (value) => {
    const n = /^\d{1,16}$/.test(value) ? Number(value) : NaN;
    return n >= low && n <= high ? n : undefined;
  };
}

function oneOf(...words) {
  return (value) => (words.includes(value) ? value : undefined);
}

/** How each key is read; what is not here is not in the address. */
const READ = {
  run: text,
  stream: text,
  run2: text,
  stream2: text,
  to: whole(0),
  to2: whole(0),
  span: whole(MIN_SPAN, LONGEST_SPAN),
  cursor: whole(0),
  layer: text,
  rank: whole(0, 2 ** 31 - 1),
  incident: text,
  mode: oneOf('norm', 'deviation'),
  filter: text,
  theme: oneOf('light', 'dark'),
};

/** State from a hash such as '#run=a&to=100'; keys that say nothing sensible are left at their defaults. */
export function parse(hash) {
  const params = new URLSearchParams(hash.replace(/^#/, ''));
  const state = {};
  for (const [key, read] of Object.entries(READ)) {
    const value = params.get(key);
    state[key] = (value === null ? undefined : read(value)) ?? DEFAULTS[key];
  }
  const folded = params.getAll('fold').slice(0, MAX_FOLDED).filter((name) => name.length <= MAX_TEXT);
  state.folded = Object.freeze([...new Set(folded)].sort());
  return state;
}

/** Hash of a state; empty where all is as by default. Lone surrogates become replacement characters. */
export function format(state) {
  const params = new URLSearchParams();
  for (const key of Object.keys(READ)) {
    if (state[key] !== DEFAULTS[key] && state[key] !== undefined && state[key] !== null) {
      params.set(key, state[key]);
    }
  }
  for (const name of state.folded ?? []) {
    params.append('fold', name);
  }
  const query = params.toString();
  return query ? `#${query}` : '';
}

/** Keeps the address and the view alike; at most one entry a quarter of a second (browsers refuse more). */
export function keep(view) {
  let timer = 0;
  let push = false;
  const write = () => {
    timer = 0;
    const hash = format(view.all());
    if (hash !== location.hash) {
      const address = `${location.pathname}${location.search}${hash}`;
      if (push) {
        history.pushState(null, '', address);
      } else {
        history.replaceState(null, '', address);
      }
    }
    push = false;
  };
  view.addEventListener('change', () => {
    push ||= view.pushed;
    timer ||= setTimeout(write, 250);
  });
  const restore = () => {
    clearTimeout(timer);
    timer = 0;
    view.set(parse(location.hash));
  };
  addEventListener('popstate', restore);
  addEventListener('hashchange', restore);
}
