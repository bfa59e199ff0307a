/** Axes and numbers as people read them. */

const SUPERSCRIPT = '⁰¹²³⁴⁵⁶⁷⁸⁹';

function superscript(n) {
  return (n < 0 ? '⁻' : '') + String(Math.abs(n)).replace(/\d/g, (d) => SUPERSCRIPT[d]);
}

/** Three significant digits; powers of ten outside 0.001 to 99,999; '–' for null and undefined. */
export function formatNorm(x) {
  if (x === null || x === undefined) {
    return '–';
  }
  if (Number.isNaN(x)) {
    return 'NaN';
  }
  if (!Number.isFinite(x)) {
    return x > 0 ? '∞' : '−∞';
  }
  if (x === 0) {
    return '0';
  }
  const size = Math.abs(x);
  const sign = x < 0 ? '−' : '';
  if (size < 1e-3 || size >= 99_999.5) {
    const [mantissa, exponent] = size.toExponential(2).split('e');
    return `${sign}${mantissa}×10${superscript(Number(exponent))}`;
  }
  if (size >= 1000) {
    return sign + formatStep(Math.round(size));
  }
  return sign + size.toPrecision(3);
}

/** Integer with thin spaces between thousands. */
export function formatStep(n) {
  if (n === null || n === undefined || !Number.isFinite(n)) {
    return '–';
  }
  return String(Math.round(n)).replace('-', '−').replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Milliseconds as the largest unit that keeps two digits. */
export function formatDuration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) {
    return '–';
  }
  const size = Math.abs(ms);
  if (size < 1000) {
    return `${Math.round(ms)} ms`;
  }
  if (size < 60_000) {
    return `${(ms / 1000).toFixed(size < 10_000 ? 1 : 0)} s`;
  }
  if (size < 3_600_000) {
    return `${Math.round(ms / 60_000)} min`;
  }
  return size < 48 * 3_600_000
    ? `${(ms / 3_600_000).toFixed(1)} h`
    : `${Math.round(ms / 86_400_000)} d`;
}

/** Decimal bytes. */
export function formatBytes(n) {
  if (n === null || n === undefined || !Number.isFinite(n)) {
    return '–';
  }
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  let size = n;
  while (Math.abs(size) >= 999.5 && i < units.length - 1) {
    size /= 1000;
    i++;
  }
  return `${i === 0 || size >= 100 ? Math.round(size) : size.toPrecision(2)} ${units[i]}`;
}

/** Round steps of 1, 2 or 5 times a power of ten: about `count` of them within [min, max]. */
export function linearTicks(min, max, count) {
  if (!(max > min) || !(count > 0) || !Number.isFinite(max - min)) {
    return [];
  }
  const rough = (max - min) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
  const ticks = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; i++) {
    ticks.push(i === 0 ? 0 : Number((i * step).toPrecision(12)));
  }
  return ticks;
}

/** As linearTicks, whole numbers only. */
export function stepTicks(min, max, count) {
  return linearTicks(min, max, Math.min(count, Math.max(1, max - min))).filter(Number.isInteger);
}

/**
 * Steps against pixels. Step s covers [x(s), x(s + 1)); the last visible step ends at `width`.
 * Pixels are columns of a fixed grid (`column`), so that following the newest step moves whole pixels.
 */
export class StepScale {
  constructor(from, to, width) {
    this.from = from;
    this.to = to;
    this.width = Math.max(1, width);
    this.span = Math.max(1, to - from + 1);
    this.perPixel = this.span / this.width;
    this.lastColumn = this.columnEnd(to);
    this.firstColumn = this.lastColumn - this.width + 1;
  }

  /** Column of the grid in which the step begins. */
  column(step) {
    return Math.floor(step / this.perPixel + 1e-9);
  }

  /** Last column of the grid that the step covers. */
  columnEnd(step) {
    return Math.max(this.column(step), this.column(step + 1) - 1);
  }

  /** Left edge of the step in pixels from the left of the pane; outside for steps outside. */
  x(step) {
    return step / this.perPixel - this.firstColumn;
  }

  /** Step that covers the pixel. */
  step(x) {
    return Math.floor((Math.floor(x) + this.firstColumn + 0.5) * this.perPixel + 1e-9);
  }

  /** First and last step of a column; the same when a step covers several columns. */
  stepsOf(column) {
    if (this.perPixel <= 1) {
      const step = Math.floor((column + 0.5) * this.perPixel + 1e-9);
      return [step, step];
    }
    const first = Math.ceil(column * this.perPixel - 1e-9);
    return [first, Math.max(first, Math.ceil((column + 1) * this.perPixel - 1e-9) - 1)];
  }
}

/** Controls, line breaks and marks that turn or hide text. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]/gu;

/**
 * Somebody else's text as one line: what cannot be seen or turns the writing direction becomes '�',
 * and the middle of what is longer than `max` code points becomes '…'.
 */
export function clean(text, max = 80) {
  const points = Array.from(String(text ?? '').replace(UNSEEN, '\ufffd'));
  if (points.length <= max) {
    return points.join('');
  }
  const head = Math.ceil((max - 1) / 2);
  return `${points.slice(0, head).join('')}…${points.slice(points.length - (max - 1 - head)).join('')}`;
}
