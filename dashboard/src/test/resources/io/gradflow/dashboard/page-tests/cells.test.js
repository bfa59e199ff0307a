import { equal, near } from './check.js';
import { INF, MISSING, NAN, UNPLACED, ZERO, isValue, log10Of, log2Of, markOf, normOf } from '/page/cells.js';

export function aHundredAndTwentyEightCodesAreAnOctave() {
  equal(normOf(0), 1);
  equal(normOf(128), 2);
  equal(log2Of(-256), -2);
  near(log10Of(128), Math.log10(2), 1e-12);
}

export function marksAreNoNumbers() {
  for (const [code, word] of [[NAN, 'NaN'], [INF, 'Inf'], [ZERO, 'zero'], [UNPLACED, 'no norm'], [MISSING, 'missing']]) {
    equal(isValue(code), false, word);
    equal(markOf(code), word);
    equal(log2Of(code), NaN, word);
  }
  equal(normOf(ZERO), 0);
  equal(normOf(INF), Infinity);
  equal(normOf(NAN), NaN);
  equal(normOf(MISSING), NaN);
}

export function theLargestNormsAreStillNorms() {
  equal(isValue(32000), true);
  equal(isValue(-32000), true);
  equal(markOf(32000), null);
}
