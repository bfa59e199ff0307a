import { equal, holds } from './check.js';
import { StepScale, clean, formatBytes, formatDuration, formatNorm, formatStep, linearTicks, stepTicks } from '/page/scale.js';

export function normsHaveThreeDigits() {
  equal(formatNorm(1), '1.00');
  equal(formatNorm(0.0123), '0.0123');
  equal(formatNorm(123.45), '123');
  equal(formatNorm(12345), '12\u202f345');
  equal(formatNorm(-2.5), '−2.50');
  equal(formatNorm(1.5e-9), '1.50×10⁻⁹');
  equal(formatNorm(2e38), '2.00×10³⁸');
}

export function whatIsNoNormIsSaid() {
  equal(formatNorm(null), '–');
  equal(formatNorm(NaN), 'NaN');
  equal(formatNorm(Infinity), '∞');
  equal(formatNorm(0), '0');
}

export function stepsDurationsBytes() {
  equal(formatStep(1234567), '1\u202f234\u202f567');
  equal(formatStep(999), '999');
  equal(formatStep(NaN), '–');
  equal(formatDuration(40), '40 ms');
  equal(formatDuration(1500), '1.5 s');
  equal(formatDuration(90_000), '2 min');
  equal(formatDuration(null), '–');
  equal(formatBytes(900), '900 B');
  equal(formatBytes(5800), '5.8 kB');
}

export function ticksAreRound() {
  equal(linearTicks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  equal(linearTicks(0.1, 0.35, 3), [0.1, 0.2, 0.3]);
  equal(linearTicks(5, 5, 3), []);
  equal(linearTicks(NaN, 5, 3), []);
  equal(stepTicks(100, 103, 10), [100, 101, 102, 103]);
}

export function columnsCoverAllStepsWithoutOverlap() {
  for (const [from, to, width] of [[0, 9999, 913], [17, 616, 600], [1000, 1999, 1000], [5, 14, 911], [123, 4000, 777]]) {
    const scale = new StepScale(from, to, width);
    let expected = null;
    for (let c = scale.firstColumn; c <= scale.lastColumn; c++) {
      const [low, high] = scale.stepsOf(c);
      holds(low <= high, `column ${c} is not empty`);
      if (expected !== null) {
        holds(low === expected || (scale.perPixel <= 1 && low === expected - 1), `column ${c} begins with ${low}, not ${expected}`);
      }
      expected = high + 1;
    }
    // The grid is fixed, so that the last column may reach beyond.
    holds(expected > to && scale.stepsOf(scale.lastColumn)[0] <= to, `the last column of ${from} to ${to} at ${width} holds ${to}`);
    holds(scale.stepsOf(scale.firstColumn)[0] <= from + scale.perPixel, `the first column holds about ${from}`);
  }
}

export function aPixelTellsTheStepThatIsDrawnThere() {
  const scale = new StepScale(100, 199, 1000);
  for (let step = 100; step < 200; step++) {
    equal(scale.step(scale.x(step) + 0.5 / scale.perPixel), step);
  }
}

export function followingMovesWholePixels() {
  const before = new StepScale(0, 599, 911);
  const after = new StepScale(1, 600, 911);
  equal(before.perPixel, after.perPixel);
  for (let c = after.firstColumn; c <= before.lastColumn; c++) {
    equal(before.stepsOf(c), after.stepsOf(c));
  }
}

export function hostileNamesBecomeOneVisibleLine() {
  equal(clean('a\nb\u202ec'), 'a\ufffdb\ufffdc');
  equal(clean('x'.repeat(500), 9), 'xxxx…xxxx');
  equal(clean('🔥🔥🔥🔥', 3), '🔥…🔥');
  equal(clean(null), '');
  equal(clean('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
}
