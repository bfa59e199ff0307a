import { keepIndices, plotted } from '/page/curves.js';

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

export async function shortSpansAreKeptWhole() {
  equal([...keepIndices([1, 2, 3], [[5, 6, 7]], 10)], [0, 1, 2]);
  equal([...keepIndices([], [[]], 10)], []);
}

export async function aSpikeOfOneStepSurvives() {
  const n = 10_000;
  const x = Float64Array.from({ length: n }, (_, i) => i);
  const y = Float64Array.from(x, (i) => Math.sin(i / 100));
  y[4321] = 1e9;
  y[8765] = -1e9;
  const kept = keepIndices(x, [y], 100);
  if (kept.length > 500) throw new Error(`expected at most 500 of ${n}, got ${kept.length}`);
  equal([kept.includes(4321), kept.includes(8765), kept[0], kept.at(-1)], [true, true, 0, n - 1]);
  equal([...kept].every((v, i) => i === 0 || v > kept[i - 1]), true);
}

export async function aGapSurvives() {
  const x = Float64Array.from({ length: 1000 }, (_, i) => i);
  const y = x.map((i) => (i === 555 ? NaN : 1));
  equal(keepIndices(x, [y], 10).includes(555), true);
}

export async function eachColumnKeepsItsOwnExtremes() {
  const x = Float64Array.from({ length: 1000 }, (_, i) => i);
  const a = x.map((i) => (i === 100 ? 9 : 0));
  const b = x.map((i) => (i === 101 ? 9 : 0));
  const kept = keepIndices(x, [a, b], 10);
  equal([kept.includes(100), kept.includes(101)], [true, true]);
}

export async function whatHasNoPlaceIsNoPoint() {
  equal(plotted([1, NaN, Infinity, 0, -2], [0, 1, 2, 3, 4], false), [1, null, null, 0, -2]);
  equal(plotted([1, NaN, Infinity, 0, -2], [0, 3, 4], true), [1, null, null]);
}
