package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** The smallest workload: a plane through noisy points. */
final class LineWorkload implements Workload {
  private static final int INPUTS = 4;

  @Override
  public List<Parameter> parameters() {
    return List.of(
        new Parameter(
            "plane.weight", "plane", 0, LayerKind.WEIGHT, INPUTS, 1, false, false, true, 0),
        new Parameter("plane.bias", "plane", 1, LayerKind.BIAS, 1, 1, false, false, true, 0));
  }

  @Override
  public float[][] initial(Random random) {
    float[] weight = new float[INPUTS];
    for (int i = 0; i < INPUTS; i++) {
      weight[i] = (float) random.nextGaussian();
    }
    return new float[][] {weight, {0}};
  }

  @Override
  public Batch draw(Random random, int samples) {
    float[] inputs = new float[samples * INPUTS];
    float[] targets = new float[samples];
    for (int n = 0; n < samples; n++) {
      targets[n] = 1 + .1f * (float) random.nextGaussian();
      for (int i = 0; i < INPUTS; i++) {
        inputs[n * INPUTS + i] = (float) random.nextGaussian();
        targets[n] += (i + 1) * inputs[n * INPUTS + i];
      }
    }
    return new Batch(samples, inputs, new int[0], targets, new int[0]);
  }

  @Override
  public double backward(
      int stream, float[][] weights, Batch batch, float[][] gradient, Disturbance disturbance) {
    Arrays.fill(gradient[0], 0);
    Arrays.fill(gradient[1], 0);
    double loss = 0;
    for (int n = 0; n < batch.samples(); n++) {
      float off = weights[1][0] - batch.targets()[n];
      for (int i = 0; i < INPUTS; i++) {
        off += weights[0][i] * batch.inputs()[n * INPUTS + i];
      }
      loss += off * off / batch.samples();
      float slope = 2 * off * disturbance.lossScale() / batch.samples();
      for (int i = 0; i < INPUTS; i++) {
        gradient[0][i] += slope * batch.inputs()[n * INPUTS + i];
      }
      gradient[1][0] += slope;
    }
    if (disturbance.nanAt() >= 0) {
      gradient[disturbance.nanAt()][0] = Float.NaN;
    }
    if (disturbance.half()) {
      for (float[] tensor : gradient) {
        for (int e = 0; e < tensor.length; e++) {
          tensor[e] = Math.abs(tensor[e]) > 65504 ? Float.POSITIVE_INFINITY : tensor[e];
        }
      }
    }
    return loss;
  }

  @Override
  public long[] activations() {
    return new long[2];
  }

  @Override
  public long[] saturated() {
    return new long[2];
  }
}
