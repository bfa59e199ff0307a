/**
 * Comparison of two spans of steps, of one run or of two, layer by layer.
 *
 * <p>{@link RunTimeline} says which steps make up a run, {@link SpanStatistics} reads a span of
 * them, {@link Comparison} tells change from noise:
 *
 * <pre>{@code
 * Comparison.of(
 *         SpanStatistics.of(layers, timeline.span(100, 199), steps),
 *         SpanStatistics.of(layers, timeline.span(200, 299), steps))
 *     .sentence();
 * }</pre>
 */
package io.gradflow.core.compare;
