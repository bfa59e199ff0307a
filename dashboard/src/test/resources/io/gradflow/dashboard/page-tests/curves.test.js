import { keepIndices, logTicks, rangeOf } from '/page/curves.js';

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

export async function logAxesHaveRoundTicks() {
  equal(logTicks(0.8, 6), [1, 2, 5]);
  equal(logTicks(0.5, 2000), [1, 10, 100, 1000]);
  equal(logTicks(3, 4), [3, 3.5, 4]);
  const wide = logTicks(1e-30, 1e30);
  equal([wide.length > 1, wide.length <= 6, wide.every((t) => Number.isInteger(Math.log10(t)))], [true, true, true]);
}

export async function theRangeIsOfWhatHasAPlace() {
  equal(rangeOf([[0, 10, NaN, Infinity]], false), [-0.8, 10.8]);
  equal(rangeOf([[NaN], [Infinity]], false), null);
  equal(rangeOf([[0, -5]], true), null);
  equal(rangeOf([[3]], false), [2.7, 3.3]);
  equal(rangeOf([[0]], false), [-1, 1]);
  const [low, high] = rangeOf([[0, 1, 100]], true);
  equal([low < 1 && low > 0.5, high > 100 && high < 200], [true, true]);
}
