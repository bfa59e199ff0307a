import { formatOf, limitsOf, parseRanks, shareBelow, summaryOf } from '/page/histogram.js';

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

function throws(act, message) {
  try {
    act();
  } catch (error) {
    equal(error.message, message);
    return;
  }
  throw new Error(`expected an error: ${message}`);
}

export async function formatsHaveManyNames() {
  equal(['float16', 'torch.bfloat16', 'bf16', 'FP32', 'float8_e4m3fn', 'float8_e5m2', 'double'].map(formatOf),
      ['float16', 'bfloat16', 'bfloat16', 'float32', 'float8 e4m3', 'float8 e5m2', 'float64']);
  equal([formatOf('int4'), formatOf(null), formatOf('constructor')], [null, null, null]);
}

export async function limitsAreThoseOfTheFormats() {
  // The end of each: 65504, 448 and 57344 lie in octaves 15, 8 and 15.
  equal(limitsOf('float16', NaN), { largest: Math.floor(Math.log2(65504)), normal: -14, subnormal: -24 });
  equal(limitsOf('float8 e4m3', NaN), { largest: Math.floor(Math.log2(448)), normal: -6, subnormal: -9 });
  equal(limitsOf('float8 e5m2', NaN).largest, Math.floor(Math.log2(57344)));
  equal(limitsOf('float32', NaN).subnormal, Math.log2(2 ** -149));
  equal(limitsOf('float64', NaN).subnormal, Math.log2(Number.MIN_VALUE));
  equal(limitsOf(null, 1), null);
}

export async function aLossScaleMovesTheLimitsDown() {
  equal(limitsOf('float16', 65536), { largest: -1, normal: -30, subnormal: -40 });
}

export async function quantilesAreOfWhatIsNotZero() {
  equal(summaryOf([-3, -2, -1], [1, 98, 1], 100), { total: 200, zeros: 0.5, p01: -3, p50: -2, p99: -2 });
  equal(summaryOf([-3], [0], 5), { total: 5, zeros: 1, p01: null, p50: null, p99: null });
  equal(summaryOf([], [], null), { total: 0, zeros: null, p01: null, p50: null, p99: null });
}

export async function theShareBelowALimitLeavesOutItsOwnOctave() {
  equal(shareBelow([-16, -15, -14], [1, 1, 2], -14), 0.5);
  equal(shareBelow([], [], -14), 0);
}

export async function ranksAreWrittenAsNumbersAndSpans() {
  equal(parseRanks(' 8-10, 3,9', 16), [3, 8, 9, 10]);
  equal([parseRanks('', 4), parseRanks('All', 4)], [null, null]);
  throws(() => parseRanks('0, 4', 4), 'Ranks: expected numbers below 4 such as 0, 3, 8-15, got 4.');
  throws(() => parseRanks('3-1', 4), 'Ranks: expected numbers below 4 such as 0, 3, 8-15, got 3-1.');
  throws(() => parseRanks('1,,2', 4), 'Ranks: expected numbers below 4 such as 0, 3, 8-15, got nothing.');
  throws(() => parseRanks('0-999999999', 4), 'Ranks: expected numbers below 4 such as 0, 3, 8-15, got 0-999999999.');
}
