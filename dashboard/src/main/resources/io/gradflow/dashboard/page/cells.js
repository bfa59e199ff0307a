/** Codes of cells: one layer at one step as an int16, as the server sends it. */

export const MISSING = -32768;
export const ZERO = -32767;
export const UNPLACED = -32766;
export const NAN = 32767;
export const INF = 32766;

/** Codes are this many to an octave. */
export const PER_OCTAVE = 128;

const LIMIT = 32000;
const LOG10_PER_CODE = Math.log10(2) / PER_OCTAVE;

/** Whether the code is a finite norm above zero. */
export function isValue(code) {
  return code >= -LIMIT && code <= LIMIT;
}

/** Base-2 logarithm of the norm; NaN for a mark. */
export function log2Of(code) {
  return isValue(code) ? code / PER_OCTAVE : NaN;
}

/** Base-10 logarithm of the norm; NaN for a mark. */
export function log10Of(code) {
  return isValue(code) ? code * LOG10_PER_CODE : NaN;
}

/** The norm; zero for an exact zero, NaN for the other marks, Infinity for Inf. */
export function normOf(code) {
  if (isValue(code)) {
    return 2 ** (code / PER_OCTAVE);
  }
  return code === ZERO ? 0 : code === INF ? Infinity : NaN;
}

/** Word for a code that is no finite norm, or null. */
export function markOf(code) {
  switch (code) {
    case NAN:
      return 'NaN';
    case INF:
      return 'Inf';
    case ZERO:
      return 'zero';
    case UNPLACED:
      return 'no norm';
    case MISSING:
      return 'missing';
    default:
      return null;
  }
}
