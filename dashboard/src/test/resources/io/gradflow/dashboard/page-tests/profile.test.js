import { MISSING, NAN, ZERO } from '/page/cells.js';
import { bandOf, byDepth } from '/page/profile.js';

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

export async function layersStandByDepthAndThoseWithoutComeLast() {
  const layers = [
    { name: 'x', depth: null, kind: 'WEIGHT' }, { name: 'out', depth: 9, kind: 'WEIGHT' },
    { name: 'bias', depth: 0, kind: 'BIAS' }, { name: 'in', depth: 0, kind: 'WEIGHT' }, { name: 'y', depth: null, kind: 'WEIGHT' },
  ];
  equal(byDepth(layers, new Set(['WEIGHT'])).map((l) => [l.name, l.index]), [['in', 3], ['out', 1], ['x', 0], ['y', 4]]);
  equal(byDepth(layers, null).map((l) => l.name), ['bias', 'in', 'out', 'x', 'y']);
}

export async function theBandIsOfValuesAlone() {
  const rows = [...Array(101).keys()].map((i) => Int16Array.of(i * 128, i % 2 ? NAN : 256, MISSING));
  rows.push(Int16Array.of(ZERO, ZERO, ZERO));
  const { low, middle, high } = bandOf(rows, [0, 1, 2]);
  equal([low[0], middle[0], high[0]], [5, 50, 95]);
  equal([low[1], middle[1], high[1]], [2, 2, 2]);
  equal([low, middle, high].map((column) => Number.isNaN(column[2])), [true, true, true]);
}

export async function theBandFollowsTheOrderAsked() {
  const { middle } = bandOf([Int16Array.of(128, 256)], [1, 0]);
  equal([...middle], [2, 1]);
  equal([...bandOf([], [0]).middle].map(Number.isNaN), [true]);
}
