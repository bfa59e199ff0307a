package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** A workload whose gradient a {@link Tape} computes: subclasses declare layers and a loss. */
abstract class Network implements Workload {
  private final List<Parameter> parameters = new ArrayList<>();
  private final List<Float> means = new ArrayList<>();
  private final List<Float> deviations = new ArrayList<>();
  private final Tape tape = new Tape();

  /**
   * The loss of a batch.
   *
   * @param p the parameters, by index
   */
  abstract Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch);

  /** Declares a matrix of normally distributed weights, and returns its index. */
  final int weight(
      String name, int depth, LayerKind kind, int rows, int columns, double deviation) {
    return declare(name, depth, kind, rows, columns, 0, deviation, 0);
  }

  /** Declares a row of zeros, and returns its index. */
  final int bias(String name, int depth, int columns) {
    return declare(name, depth, LayerKind.BIAS, 1, columns, 0, 0, 0);
  }

  /** Declares gain and bias of a normalisation, and returns the gain's index; the bias follows. */
  final int norm(String block, int depth, int columns) {
    int gain = declare(block + ".gain", depth, LayerKind.NORM, 1, columns, 1, 0, 0);
    declare(block + ".bias", depth, LayerKind.NORM, 1, columns, 0, 0, 0);
    return gain;
  }

  /**
   * Declares a parameter of normally distributed elements, and returns its index; mean and
   * deviation of 0 are zeroInit.
   */
  final int declare(
      String name,
      int depth,
      LayerKind kind,
      int rows,
      int columns,
      double mean,
      double deviation,
      int stream) {
    parameters.add(
        new Parameter(
            name,
            name.substring(0, name.lastIndexOf('.')),
            depth,
            kind,
            rows,
            columns,
            kind == LayerKind.EMBEDDING,
            mean == 0 && deviation == 0,
            true,
            stream));
    means.add((float) mean);
    deviations.add((float) deviation);
    return parameters.size() - 1;
  }

  /** Changes what is declared of a parameter. */
  final void redeclare(int index, boolean zeroInit, boolean trainable) {
    Parameter p = parameters.get(index);
    parameters.set(
        index,
        new Parameter(
            p.name(),
            p.block(),
            p.depth(),
            p.kind(),
            p.rows(),
            p.columns(),
            p.sparse(),
            zeroInit,
            trainable,
            p.stream()));
  }

  @Override
  public final List<Parameter> parameters() {
    return List.copyOf(parameters);
  }

  @Override
  public float[][] initial(Random random) {
    float[][] weights = new float[parameters.size()][];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = new float[parameters.get(i).elements()];
      for (int e = 0; e < weights[i].length; e++) {
        float drawn = deviations.get(i) == 0 ? 0 : (float) random.nextGaussian();
        weights[i][e] = means.get(i) + deviations.get(i) * drawn;
      }
    }
    return weights;
  }

  @Override
  public final double backward(
      int stream, float[][] weights, Batch batch, float[][] gradient, Disturbance disturbance) {
    tape.begin(parameters.size());
    Tape.Node[] nodes = new Tape.Node[weights.length];
    for (int i = 0; i < nodes.length; i++) {
      Parameter p = parameters.get(i);
      Arrays.fill(gradient[i], 0);
      nodes[i] =
          p.stream() == stream && p.trainable()
              ? tape.parameter(i, weights[i], gradient[i], p.rows(), p.columns())
              : tape.constant(weights[i], p.rows(), p.columns());
    }
    return tape.backward(loss(tape, nodes, stream, batch), disturbance);
  }

  @Override
  public final long[] activations() {
    return tape.activations();
  }

  @Override
  public final long[] saturated() {
    return tape.saturated();
  }
}
