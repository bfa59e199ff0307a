/**
 * Analysis of small matrices: layers x steps of a window, ranks x sketch. A port in plain arrays
 * and its plain-loop implementation.
 *
 * <p>Columns are an equidistant grid of steps; a step or value that is missing is a gap, written
 * NaN. Infinite values count as gaps too. No input is changed.
 */
package io.gradflow.core.matrix;
