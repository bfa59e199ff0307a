/** What is looked at: one state shared by all views. */

import { CAPACITY } from './store.js';

export const DEFAULTS = Object.freeze({
  run: null,
  stream: 'main',
  run2: null,
  stream2: 'main',
  to: null,
  to2: null,
  span: 600,
  cursor: null,
  hover: null,
  layer: null,
  hoverLayer: null,
  rank: null,
  incident: null,
  mode: 'norm',
  folded: Object.freeze([]),
  filter: '',
  theme: 'auto',
});

export const MIN_SPAN = 10;

function same(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, i) => value === b[i]);
  }
  return Object.is(a, b);
}

/** Sent once a frame; `changed` holds the keys that were set to something else. */
export class ViewChange extends Event {
  constructor(changed) {
    super('change');
    this.changed = changed;
  }
}

/**
 * Keys are those of DEFAULTS. `to` null follows the newest step; `cursor` null is the newest step;
 * `to2` is `to` of the second pane, which shows as many steps as the first.
 */
export class View extends EventTarget {
  #state;
  #changed = new Set();
  #pushed = false;
  #second = null;

  constructor(state = {}) {
    super();
    this.#state = { ...DEFAULTS, ...state };
  }

  get(key) {
    return this.#state[key];
  }

  /** All of it, as a copy. */
  all() {
    return { ...this.#state };
  }

  /** Whether a change since the last event deserves an entry in the browser's history. */
  get pushed() {
    return this.#pushed;
  }

  set(values, { push = false } = {}) {
    for (const [key, value] of Object.entries(values)) {
      if (!(key in DEFAULTS)) {
        throw new Error(`view has no key ${key}`);
      }
      const next = key === 'folded' ? Object.freeze([...value].sort()) : value;
      if (!same(this.#state[key], next)) {
        this.#state[key] = next;
        this.#announce(key);
        this.#pushed ||= push;
      }
    }
  }

  /** Fires 'theme' although the key is the same: the system's own scheme has changed. */
  themeChanged() {
    this.#announce('theme');
  }

  #announce(key) {
    if (this.#changed.size === 0) {
      requestAnimationFrame(() => {
        const changed = this.#changed;
        this.#changed = new Set();
        this.dispatchEvent(new ViewChange(changed));
        this.#pushed = false;
      });
    }
    this.#changed.add(key);
  }

  /** Tells which stores the panes show; the second may be null. */
  panes(first, second) {
    this.#second = { first, second };
  }

  /** Whether the store is the one of the second pane. */
  isSecond(store) {
    return this.#second !== null && store === this.#second.second;
  }

  /** Visible steps of the store's pane, both ends included. */
  visible(store) {
    const to = this.#state[this.#end(store)] ?? Math.max(store.last, this.#state.span - 1);
    return { from: to - this.#state.span + 1, to };
  }

  /** Steps that the second pane is ahead of the first. */
  get offset() {
    if (this.#second === null || this.#second.second === null) {
      return 0;
    }
    return this.visible(this.#second.second).to - this.visible(this.#second.first).to;
  }

  /**
   * Step under the pointer, else the pinned one, else the newest, in the store's pane; -1: none. A second pane that follows
   * nothing has its last visible step in the place of the newest.
   */
  step(store) {
    const step = this.#state.hover ?? this.#state.cursor;
    if (step === null) {
      return this.isSecond(store) && this.#state.to2 !== null ? Math.min(this.#state.to2, store.last) : store.last;
    }
    return this.isSecond(store) ? step + this.offset : step;
  }

  /** Pins the step and pans as little as shows it with room around. */
  go(step) {
    const first = this.#second?.first;
    const change = { cursor: step };
    if (first) {
      const { from, to } = this.visible(first);
      if (step < from || step > to) {
        const middle = step + Math.floor(this.#state.span / 2);
        change.to = middle >= first.last ? null : middle;
        if (step < first.last - this.#state.span + 1 && change.to === null) {
          change.to = middle;
        }
      }
    }
    this.set(change);
  }

  /** The step of the store's pane as the cursor counts it. */
  shared(store, step) {
    return this.isSecond(store) ? step - this.offset : step;
  }

  /** The last visible step of the store's pane becomes `to`; the newest or beyond is followed. */
  pan(store, to) {
    this.set({ [this.#end(store)]: to >= store.last ? null : Math.max(to, this.#state.span - 1) });
  }

  /**
   * Shows `factor` times as many steps; what is at `anchor` (0 left, 1 right) of the store's pane stays there unless the newest is
   * followed.
   */
  zoom(store, factor, anchor = 1) {
    const old = this.#state.span;
    const wish = Math.round(old * factor);
    const most = CAPACITY * store.stride;
    const span = Math.max(MIN_SPAN, Math.min(most, wish === old ? old + Math.sign(factor - 1) : wish));
    const key = this.#end(store);
    const follows = this.#state[key] === null;
    const change = { span };
    if (!follows || (factor < 1 && anchor < 0.6)) {
      const { from } = this.visible(store);
      const to = Math.max(span - 1, Math.round(from + anchor * old - anchor * span) + span - 1);
      change[key] = !follows && to >= store.last ? null : to;
    }
    this.set(change);
  }

  #end(store) {
    return this.isSecond(store) ? 'to2' : 'to';
  }

  /** Back to the newest step. */
  follow() {
    this.set({ to: null, to2: null, cursor: null });
  }

  /** Back to the usual zoom at the newest step. */
  reset() {
    this.set({ to: null, to2: null, span: DEFAULTS.span });
  }
}
