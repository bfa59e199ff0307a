package io.gradflow.core.matrix;

/**
 * For each row its strongest partner, one cell a row.
 *
 * <p>The strongest of many is strong by chance: among m candidates (partners times lags) that have
 * nothing to do with the row, about sqrt(2 ln(2m) / pairs). Two rows with a trend correlate at
 * every lag.
 *
 * @param partner the other row's index; -1 if the row correlates with none
 * @param correlation with the partner at the lag, -1 to 1; NaN without partner
 * @param lag in columns: positive if the row follows its partner, cell t of the row being paired
 *     with cell t - lag of the partner; 0 without partner
 * @param pairs of cells the correlation is computed from, at least {@link Matrices#MIN_PAIRS}; 0
 *     without partner
 */
public record Links(int[] partner, double[] correlation, int[] lag, int[] pairs) {}
