import { equal, holds } from './check.js';
import { View } from '/page/view.js';

function changeOf(view) {
  return new Promise((resolve) => view.addEventListener('change', (event) => resolve([...event.changed].sort()), { once: true }));
}

export async function changesOfAFrameComeAsOne() {
  const view = new View();
  let events = 0;
  view.addEventListener('change', () => events++);
  const change = changeOf(view);
  view.set({ cursor: 5 });
  view.set({ layer: 'a' });
  view.set({ cursor: 6, mode: 'norm' });
  equal(await change, ['cursor', 'layer']);
  equal(events, 1);
}

export async function sameValuesAreNoChange() {
  const view = new View({ folded: Object.freeze(['a', 'b']) });
  view.set({ folded: ['b', 'a'], span: 600, rank: null });
  const change = changeOf(view);
  view.set({ rank: 1 });
  equal(await change, ['rank']);
}

export function anUnknownKeyIsRefused() {
  let refused = false;
  try {
    new View().set({ nonsense: 1 });
  } catch {
    refused = true;
  }
  holds(refused, 'expected an error');
}

export function aRunThatBeginsFillsFromTheLeft() {
  const view = new View();
  const store = { first: 0, last: 20 };
  view.panes(store, null);
  equal(view.visible(store), { from: 0, to: 599 });
  store.last = 5000;
  equal(view.visible(store), { from: 4401, to: 5000 });
}

export function theSecondPaneIsLinkedByItsOffset() {
  const view = new View({ span: 100, to: 500, to2: 300, cursor: 450 });
  const first = { first: 0, last: 1000 };
  const second = { first: 0, last: 1000 };
  view.panes(first, second);
  equal(view.offset, -200);
  equal(view.step(first), 450);
  equal(view.step(second), 250);
  equal(view.visible(second), { from: 201, to: 300 });
}

export function goingToAStepShowsIt() {
  const view = new View({ span: 100 });
  const store = { first: 0, last: 1000 };
  view.panes(store, null);
  view.go(200);
  const { from, to } = view.visible(store);
  holds(from <= 200 && to >= 200, `200 is within ${from} to ${to}`);
  equal(view.step(store), 200);
  view.go(990);
  equal(view.get('to'), null);
  view.follow();
  equal(view.get('cursor'), null);
}

export function panningMovesOnePaneAndFollowsAtTheNewest() {
  const view = new View({ span: 100 });
  const first = { first: 0, last: 1000, stride: 1 };
  const second = { first: 0, last: 400, stride: 1 };
  view.panes(first, second);
  view.pan(second, 300);
  equal([view.get('to'), view.get('to2')], [null, 300]);
  equal(view.shared(first, 950), 950);
  equal(view.shared(second, 250), 950);
  view.pan(first, 5);
  equal(view.visible(first), { from: 0, to: 99 });
  view.pan(first, 2000);
  equal(view.get('to'), null);
}

export function zoomingKeepsWhatIsAtTheAnchor() {
  const view = new View({ span: 400, to: 599 });
  const store = { first: 0, last: 5000, stride: 1 };
  view.panes(store, null);
  view.zoom(store, 0.5, 0.5);
  equal(view.visible(store), { from: 300, to: 499 });
  view.zoom(store, 2, 0.5);
  equal(view.visible(store), { from: 200, to: 599 });
  view.follow();
  view.zoom(store, 0.5);
  equal([view.get('to'), view.get('span')], [null, 200]);
  view.zoom(store, 0.5, 0);
  equal(view.visible(store), { from: 4801, to: 4900 });
}

export function zoomingEndsAtTheLeastAndTheMost() {
  const view = new View({ span: 12 });
  const store = { first: 0, last: 50_000, stride: 5 };
  view.panes(store, null);
  view.zoom(store, 0.001);
  equal(view.get('span'), 10);
  view.zoom(store, 1e9);
  equal(view.get('span'), 50_000);
  view.reset();
  equal(view.get('span'), 600);
}
