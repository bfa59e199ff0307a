/**
 * Publishes the gradients of a training on the JVM to Kafka, without ever blocking or breaking it.
 *
 * <p>Worked example, on each rank:
 *
 * <pre>{@code
 * var options = PublisherOptions.fromEnvironment(System.getenv());
 * try (var publisher = GradientPublisher.start(options)) {
 *   publisher.announce(manifest);              // on one rank; the others: refer(manifest)
 *   publisher.event(RunEvent.Type.STARTED, Map.of());
 *   for (long step = 0; step < steps; step++) {
 *     ... backward pass ...
 *     var report = publisher.step(step).loss(loss).weight(samples).local(gradients);
 *     ... all-reduce ...
 *     report.reduced(gradients).publish();
 *     ... update ...
 *   }
 *   publisher.event(RunEvent.Type.FINISHED, Map.of());
 * }
 * }</pre>
 */
package io.gradflow.trainer;
