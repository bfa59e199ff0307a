package io.gradflow.training;

import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * The gradients and weights of a whole training in short: for every step, rank and layer the sum of
 * squares, NaN when any element is.
 */
final class Recording implements StepObserver {

  final List<Layer> layers;
  final TrainingResult result;
  final double[][][] localSquares;
  final double[][][] reducedSquares;
  final double[][][] weightSquares;

  private Recording(
      TrainingPolicy policy,
      Optional<Fault> fault,
      Function<DataParallelTraining, StepObserver> another)
      throws InterruptedException {
    var training = new DataParallelTraining(policy, fault);
    layers = training.layers();
    localSquares = new double[policy.steps()][policy.ranks()][];
    reducedSquares = new double[policy.steps()][policy.ranks()][];
    weightSquares = new double[policy.steps()][policy.ranks()][];
    StepObserver beside = another.apply(training);
    result =
        training.run(
            step -> {
              observe(step);
              beside.observe(step);
            });
  }

  static Recording of(TrainingPolicy policy, Optional<Fault> fault) throws InterruptedException {
    return of(policy, fault, training -> step -> {});
  }

  /** Of a training that another observer sees too. */
  static Recording of(
      TrainingPolicy policy,
      Optional<Fault> fault,
      Function<DataParallelTraining, StepObserver> another)
      throws InterruptedException {
    return new Recording(policy, fault, another);
  }

  @Override
  public void observe(RankStep step) {
    int s = (int) step.step();
    localSquares[s][step.rank()] = squares(step.local());
    reducedSquares[s][step.rank()] = squares(step.reduced());
    weightSquares[s][step.rank()] = squares(step.weights());
  }

  int layer(String name) {
    return layers.stream().map(Layer::name).toList().indexOf(name);
  }

  /** log2 of the root mean square of the reduced gradient. */
  double octaves(long step, int layer) {
    return Math.log(reducedSquares[(int) step][0][layer] / layers.get(layer).elements())
        / (2 * Math.log(2));
  }

  private static double[] squares(float[][] gradient) {
    double[] squares = new double[gradient.length];
    for (int layer = 0; layer < gradient.length; layer++) {
      for (float g : gradient[layer]) {
        squares[layer] += (double) g * g;
      }
    }
    return squares;
  }
}
