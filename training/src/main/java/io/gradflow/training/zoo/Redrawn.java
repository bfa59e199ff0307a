package io.gradflow.training.zoo;

import io.gradflow.training.Seeds;
import java.util.List;
import java.util.Random;

/** A workload whose samples are drawn in another way. */
final class Redrawn implements Workload {

  /** Draws a batch. */
  private interface Drawing {
    Batch draw(Random random, int samples);
  }

  private final Workload workload;
  private final Drawing drawing;

  private Redrawn(Workload workload, Drawing drawing) {
    this.workload = workload;
    this.drawing = drawing;
  }

  /** The same few samples over and over: a network can learn them by heart. */
  static Workload memorised(Workload workload, int pool, long seed) {
    Batch all = workload.draw(Seeds.random(seed, "zoo-pool", 0), pool);
    return new Redrawn(
        workload,
        (random, samples) -> {
          int[] chosen = random.ints(samples, 0, pool).toArray();
          return new Batch(
              samples,
              chosen(all.inputs(), pool, chosen),
              chosen(all.tokens(), pool, chosen),
              chosen(all.targets(), pool, chosen),
              chosen(all.classes(), pool, chosen));
        });
  }

  /** That share of the samples has the targets of another one. */
  static Workload mislabelled(Workload workload, double share) {
    return new Redrawn(
        workload,
        (random, samples) -> {
          Batch batch = workload.draw(random, samples);
          int[] source = new int[samples];
          for (int n = 0; n < samples; n++) {
            source[n] = random.nextDouble() < share ? random.nextInt(samples) : n;
          }
          return new Batch(
              samples,
              batch.inputs(),
              batch.tokens(),
              chosen(batch.targets(), samples, source),
              chosen(batch.classes(), samples, source));
        });
  }

  private static float[] chosen(float[] rows, int of, int[] chosen) {
    int width = rows.length / of;
    float[] result = new float[chosen.length * width];
    for (int i = 0; i < chosen.length; i++) {
      System.arraycopy(rows, chosen[i] * width, result, i * width, width);
    }
    return result;
  }

  private static int[] chosen(int[] rows, int of, int[] chosen) {
    int width = rows.length / of;
    int[] result = new int[chosen.length * width];
    for (int i = 0; i < chosen.length; i++) {
      System.arraycopy(rows, chosen[i] * width, result, i * width, width);
    }
    return result;
  }

  @Override
  public List<Parameter> parameters() {
    return workload.parameters();
  }

  @Override
  public List<String> streams() {
    return workload.streams();
  }

  @Override
  public float[][] initial(Random random) {
    return workload.initial(random);
  }

  @Override
  public Batch draw(Random random, int samples) {
    return drawing.draw(random, samples);
  }

  @Override
  public double backward(
      int stream, float[][] weights, Batch batch, float[][] gradient, Disturbance disturbance) {
    return workload.backward(stream, weights, batch, gradient, disturbance);
  }

  @Override
  public long[] activations() {
    return workload.activations();
  }

  @Override
  public long[] saturated() {
    return workload.saturated();
  }
}
