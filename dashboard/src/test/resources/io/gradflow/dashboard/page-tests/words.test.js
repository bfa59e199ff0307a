import {
  asNumber, breakSentence, count, counted, depthSentence, duration, factor, kindName, number, percent,
  runbookOf, signed, sparkline, verdictName,
} from '/page/words.js';

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

export async function numbersAreShortAndKeepTheirSign() {
  equal(number(0.123456), '0.123');
  equal(number(-12.3456), '\u221212.3');
  equal(number(1.5), '1.5');
  equal(number(0), '0');
  equal(number(12345), '12\u202f300');
  equal(number(999.96), '1\u202f000');
  equal(number(1.5e-7), '1.5e\u22127');
  equal(number(3e38), '3e38');
  equal(signed(2), '+2');
  equal(signed(-2), '\u22122');
}

export async function whatIsNoNumberIsSaidByName() {
  equal([number(null), number(undefined), count(null), percent(null), duration(null)], ['–', '–', '–', '–', '–']);
  equal(number(NaN), 'NaN');
  equal(number('NaN'), 'NaN');
  equal(number('-Infinity'), '\u2212Infinity');
  equal(number(Infinity), 'Infinity');
  equal(asNumber(null), null);
  equal(asNumber('Infinity') === Infinity, true);
}

export async function thousandsAreApart() {
  equal([count(999), count(1000), count(-1234567)], ['999', '1\u202f000', '\u22121\u202f234\u202f567']);
  equal([counted(1, 'layer'), counted(2, 'layer')], ['1 layer', '2 layers']);
}

export async function almostAllIsNotAll() {
  equal([percent(1), percent(0.99995), percent(0.5), percent(0)], ['100 %', '> 99.9 %', '50 %', '0 %']);
}

export async function durationsHaveTheUnitThatFits() {
  equal([duration(12), duration(1500), duration(90_000), duration(7_200_000), duration(259_200_000)],
      ['12 ms', '1.5 s', '1.5 min', '2 h', '3 d']);
}

export async function kindsAndVerdictsReadAsWords() {
  equal([kindName('RANK_DIVERGENCE'), kindName('NON_FINITE')], ['Rank divergence', 'Non-finite']);
  equal([verdictName('TRUE'), verdictName('FALSE'), verdictName('EXPECTED'), verdictName('constructor')],
      ['true fault', 'no fault', 'expected', 'constructor']);
}

export async function aFallOverDepthIsSaidAsAFraction() {
  equal(depthSentence('RMS', { slope: 0.42, t: 6.1, drop: 4.17 }),
      'RMS falls by 0.42 octaves per layer towards the input (t = 6.1): the first layer gets 1/18 of what the last gets.');
}

export async function growthOverDepthIsSaidAsAMultiple() {
  equal(depthSentence('RMS', { slope: -0.5, t: -9, drop: -3 }),
      'RMS grows by 0.5 octaves per layer towards the input (t = \u22129): the first layer gets 8 times what the last gets.');
}

export async function whereTheEndsHaveNoValueTheSentenceSaysSo() {
  equal(depthSentence('RMS', { slope: 0.5, t: 9, drop: 3 }, 'layer with a value'),
      'RMS falls by 0.5 octaves per layer towards the input (t = 9): the first layer with a value gets 1/8 of what the last gets.');
}

export async function anUncertainSlopeIsNoTrend() {
  equal(depthSentence('RMS', { slope: 0.4, t: 3.9, drop: 4 }), 'No trend over depth (0.4 octaves per layer, t = 3.9).');
  equal(depthSentence('RMS', { slope: 0.4, t: NaN, drop: 4 }), 'No trend over depth (0.4 octaves per layer, t = NaN).');
  equal(depthSentence('RMS', null), 'Too few layers with a known depth for a trend.');
}

export async function onlyABreakIsSaidToBeOne() {
  const boundary = { inputSide: 3, lossSide: 4, fall: 5.2, scatter: 0.3, isBreak: true };
  equal(breakSentence(boundary, (i) => `layer ${i}`),
      'It breaks between layer 4 and layer 3: 5.2 octaves beyond the slope elsewhere, from which layers scatter by 0.3.');
  equal(breakSentence({ ...boundary, isBreak: false }, String), '');
  equal(breakSentence(null, String), '');
}

export async function factorsOfOctaves() {
  equal([factor(3), factor(-3), factor(0), factor(-4.17)], ['8', '1/8', '1', '1/18']);
}

export async function theRunbookHasASectionForEachKind() {
  equal(runbookOf('https://x/detectors.md#', 'NON_FINITE'), 'https://x/detectors.md#non_finite');
  equal(runbookOf('', 'NON_FINITE'), null);
  equal(runbookOf('https://x#', 'A"><B'), 'https://x#a%22%3E%3Cb');
}

export async function aSparklineBreaksWhereNothingIsKnown() {
  const picture = sparkline([1, 2, 'NaN', 3, '-Infinity', 4], 3, 104, 24);
  equal(picture.lines.map((l) => l.length), [2, 1, 1]);
  equal(picture.marks, [[82, 'Inf']]);
  equal(picture.lines[0][0], [2, 22]);
  equal(picture.lines[2][0], [102, 2]);
}

export async function aThresholdIsInThePictureUnlessItIsFarOff() {
  equal(sparkline([0, 1], 2, 104, 24).threshold, 2);
  equal(sparkline([0, 1], 2, 104, 24).lines[0][1], [102, 12]);
  const far = sparkline([0, 1], 1000, 104, 24);
  equal([far.threshold, far.outside, far.lines[0][1]], [null, true, [102, 2]]);
}

export async function aSparklineOfNothingIsEmpty() {
  equal(sparkline([], 1, 100, 20), { lines: [], marks: [], threshold: null, outside: false });
  equal(sparkline(['NaN', 'Infinity'], null, 104, 24).marks, [[102, 'Inf']]);
  equal(sparkline([5, 5], null, 104, 24).lines[0].length, 2);
}
