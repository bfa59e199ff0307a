/** Pointer, wheel and keys on the heat map. */

import { cellLines } from './tip.js';

/** What people do with the stage of a pane. */
export class Gestures {
  #pane;
  #store;
  #view;
  #stage;
  #tip;
  #drag = null;

  constructor(pane, { store, view, signal }, tip) {
    this.#pane = pane;
    this.#store = store;
    this.#view = view;
    this.#stage = pane.stage;
    this.#tip = tip;
    const on = (type, listener, options = {}) => this.#stage.addEventListener(type, listener, { signal, ...options });
    on('pointermove', (event) => this.#hover(event));
    on('pointerleave', () => this.#leave());
    on('pointerdown', (event) => this.#press(event));
    on('pointerup', (event) => this.#release(event));
    on('pointercancel', () => this.#cancel());
    on('wheel', (event) => this.#wheel(event), { passive: false });
    on('dblclick', () => view.reset());
    on('keydown', (event) => this.#typed(event));
  }

  #hover(event) {
    if (this.#drag !== null) {
      this.#pull(event);
      return;
    }
    const cell = this.#pane.cellAt(event);
    if (cell === null) {
      return;
    }
    this.#view.set({ hover: this.#view.shared(this.#store, cell.step), hoverLayer: this.#name(cell.layer) });
    this.#tip.show(event, cellLines(this.#store, cell.step, cell.layer));
  }

  #name(layer) {
    return this.#store.layers[layer]?.name ?? null;
  }

  #leave() {
    this.#tip.hide();
    if (this.#drag === null) {
      this.#view.set({ hover: null, hoverLayer: null });
    }
  }

  #press(event) {
    if (event.button !== 0) {
      return;
    }
    this.#stage.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, to: this.#view.visible(this.#store).to, moved: false };
  }

  #pull(event) {
    const moved = event.clientX - this.#drag.x;
    if (!this.#drag.moved && Math.abs(moved) < 4) {
      return;
    }
    this.#drag.moved = true;
    this.#tip.hide();
    this.#stage.classList.add('dragging');
    const perPixel = this.#view.get('span') / this.#stage.clientWidth;
    this.#pan(this.#drag.to - Math.round(moved * perPixel));
  }

  #release(event) {
    const drag = this.#drag;
    this.#cancel();
    const cell = drag !== null && !drag.moved ? this.#pane.cellAt(event) : null;
    if (cell !== null) {
      this.#view.set({ cursor: this.#view.shared(this.#store, cell.step), layer: this.#name(cell.layer) });
    }
  }

  #cancel() {
    this.#drag = null;
    this.#stage.classList.remove('dragging');
  }

  #wheel(event) {
    if (event.ctrlKey || !this.#pane.isShown) {
      return;
    }
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX || event.deltaY) * (this.#view.get('span') / this.#stage.clientWidth);
      this.#pan(this.#view.visible(this.#store).to + Math.round(by));
      return;
    }
    const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    this.#zoom(1.0015 ** Math.max(-400, Math.min(400, pixels)), event.offsetX / this.#stage.clientWidth);
  }

  #typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#pane.isShown) {
      return;
    }
    const view = this.#view;
    const { to } = view.visible(this.#store);
    const tenth = Math.max(1, Math.round(view.get('span') / 10));
    const keys = {
      ArrowLeft: () => (event.shiftKey ? this.#pan(to - tenth) : this.#move(-1, 0)),
      ArrowRight: () => (event.shiftKey ? this.#pan(to + tenth) : this.#move(1, 0)),
      ArrowUp: () => this.#move(0, event.shiftKey ? -10 : -1),
      ArrowDown: () => this.#move(0, event.shiftKey ? 10 : 1),
      PageUp: () => this.#pan(to - view.get('span')),
      PageDown: () => this.#pan(to + view.get('span')),
      Home: () => this.#pan(0),
      End: () => this.#pan(this.#store.last),
      '+': () => this.#zoom(0.7),
      '=': () => this.#zoom(0.7),
      '-': () => this.#zoom(1 / 0.7),
      0: () => view.reset(),
      f: () => view.follow(),
      d: () => view.set({ mode: view.get('mode') === 'norm' ? 'deviation' : 'norm' }),
      Enter: () => this.#foldCursor(),
      Escape: () => view.set({ cursor: null, layer: null, incident: null, hover: null, hoverLayer: null }),
    };
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }

  #foldCursor() {
    const layer = this.#store.layers[this.#store.layerIndex(this.#view.get('layer'))];
    if (layer !== undefined) {
      this.#pane.fold(layer.block ?? '');
    }
  }

  #move(steps, rows) {
    const store = this.#store;
    const view = this.#view;
    const step = Math.max(0, Math.min(store.last, view.step(store) + steps * store.stride));
    const layer = this.#pane.layerFrom(store.layerIndex(view.get('layer')), rows);
    const { from, to } = view.visible(store);
    const change = { cursor: view.shared(store, step), layer: this.#name(layer), hover: null, hoverLayer: null };
    if (step < from || step > to) {
      this.#pan(step < from ? step + view.get('span') - 1 : step);
    } else if (view.get('to') === null && !view.isSecond(store)) {
      // The cursor would run off to the left while somebody reads.
      change.to = to;
    }
    view.set(change);
    this.#pane.speak(cellLines(store, step, layer));
  }

  #pan(to) {
    this.#view.pan(this.#store, to);
  }

  #zoom(factor, anchor) {
    this.#view.zoom(this.#store, factor, anchor);
  }
}
