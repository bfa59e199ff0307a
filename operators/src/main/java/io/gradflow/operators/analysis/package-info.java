/**
 * Analysis of matrices on ND4J, the only place that knows it. Everybody else asks {@link
 * io.gradflow.operators.analysis.Analysis} for {@link io.gradflow.core.matrix.Matrices} and sees
 * plain arrays.
 */
package io.gradflow.operators.analysis;
