/**
 * Small real data-parallel trainings in which faults are provoked: the source of gradients for
 * demonstrations and for judging the detectors.
 *
 * <p>{@link io.gradflow.training.DataParallelTraining} trains a residual network on a regression
 * task with one thread per rank. A {@link io.gradflow.training.Scenario} decides which {@link
 * io.gradflow.training.Fault} strikes, drawn from the seed before the training starts. A {@link
 * io.gradflow.training.StepObserver} is all that the outside sees:
 *
 * <pre>{@code
 * var policy = TrainingPolicy.ofSeed(7).withSteps(300);
 * var training = new DataParallelTraining(policy, Scenario.NAN.fault(policy));
 * var result = training.run(step -> publish(training.layers(), step));
 * }</pre>
 */
package io.gradflow.training;
