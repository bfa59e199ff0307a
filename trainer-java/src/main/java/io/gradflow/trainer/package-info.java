/**
 * Publishes what a rank knows of its gradients, from any trainer on the JVM, at next to no cost and
 * without ever stopping it.
 *
 * <pre>{@code
 * Manifest manifest = ...;                                    // the layers, once
 * var options = PublisherOptions.of("broker:9092", "my-run", attempt).withRank(rank);
 * try (var publisher = GradientPublisher.open(options, manifest)) {
 *   for (long step = 0; step < steps; step++) {
 *     ...                                                     // forward, backward
 *     StepReport report = StepReport.of(step).local(gradients).loss(loss).samples(batch);
 *     ...                                                     // all-reduce
 *     publisher.publish(report.reduced(gradients));           // before clipping and update
 *   }
 *   publisher.event(RunEvent.Type.FINISHED, steps - 1, Map.of());
 * }
 * }</pre>
 */
package io.gradflow.trainer;
