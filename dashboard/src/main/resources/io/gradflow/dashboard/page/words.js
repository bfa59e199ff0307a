// How the page says numbers, names of kinds and findings about depth. Pure: no document, no clock.

const MINUS = '\u2212';

/** Octaves in a factor of ten. */
export const OCTAVES_PER_DECADE = Math.log2(10);

/** The t statistic from which a slope is called a trend, as the detectors of depth have it. */
export const TREND_T = 4;

/** A whole number, thin spaces between its thousands; an en dash for what is unknown. */
export function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  const digits = Math.abs(Math.round(n)).toString();
  return (n < 0 ? MINUS : '') + digits.replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** A number to so many significant digits; 'NaN' and infinities by name, an en dash for null. */
export function number(x, digits = 3) {
  if (x === null || x === undefined) return '–';
  if (typeof x === 'string') return x.replace('-', MINUS);
  if (Number.isNaN(x)) return 'NaN';
  if (!Number.isFinite(x)) return x > 0 ? 'Infinity' : MINUS + 'Infinity';
  if (x === 0) return '0';
  const size = Math.abs(x);
  const sign = x < 0 ? MINUS : '';
  if (size >= 1e6 || size < 1e-3) {
    const [mantissa, exponent] = size.toExponential(digits - 1).split('e');
    return sign + trimmed(mantissa) + 'e' + exponent.replace('+', '').replace('-', MINUS);
  }
  const text = size.toPrecision(digits);
  return sign + (text.includes('e') || size >= 1e3 ? count(Number(text)) : trimmed(text));
}

function trimmed(text) {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** With its sign always, for differences. */
export function signed(x, digits = 3) {
  const text = number(x, digits);
  return x > 0 ? '+' + text : text;
}

/** A share of 1 in per cent. */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return '–';
  const value = share * 100;
  // 99.99 % must not read as all of it.
  if (value > 99.9 && value < 100) return '> 99.9 %';
  return number(value, 3) + ' %';
}

/** Milliseconds in the largest unit that leaves a number of at least 1. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–';
  const size = Math.abs(ms);
  if (size < 1000) return number(Math.round(ms)) + ' ms';
  if (size < 60_000) return number(ms / 1000) + ' s';
  if (size < 3_600_000) return number(ms / 60_000, 2) + ' min';
  if (size < 172_800_000) return number(ms / 3_600_000, 2) + ' h';
  return number(ms / 86_400_000, 2) + ' d';
}

/** Local date and time to the second, 2026-03-01 14:05:09. */
export function moment(ms) {
  if (!ms) return '–';
  const d = new Date(ms);
  const two = (n) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} `
      + `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** RANK_DIVERGENCE as 'Rank divergence'. */
export function kindName(kind) {
  const words = String(kind).toLowerCase().split('_').join(' ');
  return (words.charAt(0).toUpperCase() + words.slice(1)).replace('Non finite', 'Non-finite');
}

const CAUSES = new Map([
  ['DATA', 'data: what ranks were fed'],
  ['NUMERIC', 'numeric: range and precision of number formats'],
  ['OPTIMISER', 'optimiser: how the training is set up and driven'],
  ['DELIVERY', 'delivery: what does not arrive, or arrives twice'],
  ['HARDWARE', 'hardware: a machine that computes or communicates wrongly'],
]);

/** Who should look, by the class of the cause. */
export function causeName(cause) {
  return CAUSES.get(cause) ?? String(cause);
}

const VERDICTS = new Map([['TRUE', 'true fault'], ['FALSE', 'no fault'], ['EXPECTED', 'expected']]);

export function verdictName(verdict) {
  return VERDICTS.get(verdict) ?? String(verdict);
}

/** 2^octaves as a factor: '18' for 4.17, '1/18' for -4.17. */
export function factor(octaves) {
  const text = number(2 ** Math.abs(octaves), 2);
  return octaves < 0 && text !== '1' ? '1/' + text : text;
}

/** 'layer' or 'layers', by the count. */
export function counted(n, one, many = one + 's') {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/**
 * How a quantity fares over depth, in a sentence.
 *
 * @param fit {slope, t, drop}: octaves a layer toward the loss, its t statistic, octaves lost on the
 *     way from the last layer to the first; null: too few layers
 * @param layer what the ends are called, 'layer with a value' where some beyond them have none
 */
export function depthSentence(quantity, fit, layer = 'layer') {
  if (!fit) return 'Too few layers with a known depth for a trend.';
  const { slope, t, drop } = fit;
  const statistic = `t = ${number(t, 2)}`;
  if (!(Math.abs(t) >= TREND_T) || Math.abs(drop) < 0.05) {
    return `No trend over depth (${number(slope, 2)} octaves per layer, ${statistic}).`;
  }
  const verb = slope > 0 ? 'falls' : 'grows';
  const gets = drop > 0 ? factor(-drop) + ' of' : factor(-drop) + ' times';
  return `${quantity} ${verb} by ${number(Math.abs(slope), 2)} octaves per layer towards the input (${statistic}): `
      + `the first ${layer} gets ${gets} what the last gets.`;
}

/** Where the gradient breaks off, in a sentence; empty without a break. */
export function breakSentence(boundary, nameOf) {
  if (!boundary || !boundary.isBreak) return '';
  return `It breaks between ${nameOf(boundary.lossSide)} and ${nameOf(boundary.inputSide)}: `
      + `${number(boundary.fall, 2)} octaves beyond the slope elsewhere, from which layers scatter by `
      + `${number(boundary.scatter, 2)}.`;
}

/** The address of a kind's section in the runbook; null without a runbook. */
export function runbookOf(runbook, kind) {
  return runbook ? runbook + encodeURIComponent(String(kind).toLowerCase()) : null;
}

/**
 * The picture of an incident's evidence in a box of width × height: lines of consecutive known
 * values, marks for what is infinite, and where the threshold lies. NaN says that there was no value.
 *
 * @return {lines: [[[x, y], …], …], marks: [[x, text], …], threshold: y|null, outside: bool};
 *     outside is true if the threshold is too far off to be in the picture
 */
export function sparkline(tail, threshold, width, height) {
  const values = tail.map(asNumber);
  const finite = values.filter(Number.isFinite);
  const lines = [];
  const marks = [];
  if (values.length === 0) return { lines, marks, threshold: null, outside: false };
  let [low, high] = finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
  const known = Number.isFinite(threshold);
  const span = high - low || Math.abs(high) || 1;
  // A threshold ten spans away would flatten the series into a line.
  const outside = known && (threshold > high + 10 * span || threshold < low - 10 * span);
  if (known && !outside) {
    low = Math.min(low, threshold);
    high = Math.max(high, threshold);
  }
  const range = high - low || 1;
  const pad = 2;
  const x = (i) => pad + (values.length === 1 ? 0.5 : i / (values.length - 1)) * (width - 2 * pad);
  const y = (v) => height - pad - ((v - low) / range) * (height - 2 * pad);
  let line = null;
  values.forEach((v, i) => {
    if (Number.isFinite(v)) {
      if (!line) lines.push(line = []);
      line.push([x(i), y(v)]);
    } else {
      line = null;
      if (v === Infinity || v === -Infinity) marks.push([x(i), 'Inf']);
    }
  });
  return { lines, marks, threshold: known && !outside ? y(threshold) : null, outside };
}

/** JSON's numbers, with 'NaN', 'Infinity' and '-Infinity' as text; null stays null. */
export function asNumber(value) {
  return value === null || value === undefined ? null : Number(value);
}
