package io.gradflow.benchmarks.quality;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.zoo.Batch;
import io.gradflow.training.zoo.Disturbance;
import io.gradflow.training.zoo.Parameter;
import io.gradflow.training.zoo.Workload;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** A bowl with noise: the gradient of every layer is its weights plus what the batch adds. */
final class Quadratic implements Workload {
  private static final int ELEMENTS = 40;

  private final List<Parameter> parameters = new ArrayList<>();

  Quadratic(int layers) {
    for (int i = 0; i < layers; i++) {
      parameters.add(
          new Parameter(
              "block" + i + ".weight",
              "block" + i,
              i,
              LayerKind.WEIGHT,
              1,
              ELEMENTS,
              false,
              false,
              true,
              0));
    }
  }

  @Override
  public List<Parameter> parameters() {
    return parameters;
  }

  @Override
  public float[][] initial(Random random) {
    float[][] weights = new float[parameters.size()][ELEMENTS];
    for (float[] layer : weights) {
      for (int i = 0; i < layer.length; i++) {
        layer[i] = (float) random.nextGaussian();
      }
    }
    return weights;
  }

  @Override
  public Batch draw(Random random, int samples) {
    float[] inputs = new float[parameters.size() * ELEMENTS];
    for (int i = 0; i < inputs.length; i++) {
      inputs[i] = (float) (random.nextGaussian() / Math.sqrt(samples));
    }
    return new Batch(samples, inputs, new int[0], new float[0], new int[0]);
  }

  @Override
  public double backward(
      int stream, float[][] weights, Batch batch, float[][] gradient, Disturbance disturbance) {
    double loss = 0;
    for (int layer = 0; layer < weights.length; layer++) {
      for (int i = 0; i < ELEMENTS; i++) {
        float noise = batch.inputs()[layer * ELEMENTS + i];
        float value = weights[layer][i] + noise;
        loss += 0.5 * value * value / weights.length / ELEMENTS;
        gradient[layer][i] =
            layer == disturbance.nanAt() ? Float.NaN : value * disturbance.lossScale();
      }
    }
    return loss;
  }

  @Override
  public long[] activations() {
    return new long[parameters.size()];
  }

  @Override
  public long[] saturated() {
    return new long[parameters.size()];
  }

  @Override
  public String toString() {
    return "bowl of " + Arrays.asList(parameters.size(), ELEMENTS);
  }
}
