package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.Seeds;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** What the faults of one training do in a step; of all of them at once. */
final class ZooFaults {

  private final List<ZooFault> faults;

  private final List<Parameter> parameters;
  private final Random random;

  /**
   * @throws IllegalArgumentException when the training has no such step, rank or parameter
   */
  ZooFaults(List<ZooFault> faults, List<Parameter> parameters, ZooOptions options) {
    this.faults = List.copyOf(faults);
    this.parameters = parameters;
    random = Seeds.random(options.seed(), "zoo-fault", 0);
    for (ZooFault fault : faults) {
      if (fault.onset() >= options.steps()
          || fault.rank() >= options.ranks()
          || fault.parameter() >= parameters.size()) {
        throw new IllegalArgumentException(
            "fault %s: expected a step below %d, a rank below %d, a parameter below %d, got %s"
                .formatted(
                    fault.kind(), options.steps(), options.ranks(), parameters.size(), fault));
      }
    }
  }

  void strikeWeights(long step, float[][] weights) {
    for (ZooFault fault : faults) {
      if (!fault.acts(step)) {
        continue;
      }
      switch (fault.kind()) {
        case WEIGHTS_ONCE -> {
          if (step == fault.onset()) {
            scale(weights, fault.parameter(), fault.strength());
          }
        }
        case WEIGHTS_GROW -> scale(weights, fault.parameter(), fault.strength());
        case BIAS -> {
          if (step == fault.onset()) {
            Arrays.fill(weights[fault.parameter()], (float) fault.strength());
          }
        }
        case ROUTER -> preferOne(weights, fault);
        default -> {
          // The others act elsewhere.
        }
      }
    }
  }

  double lossScale(long step, double declared) {
    return value(ZooFault.Kind.LOSS_SCALE, step, declared);
  }

  boolean forbidSkips(long step) {
    return acts(ZooFault.Kind.LOSS_SCALE, step);
  }

  double clipNorm(long step, double declared) {
    return value(ZooFault.Kind.CLIP, step, declared);
  }

  double beta2(long step, double declared) {
    return value(ZooFault.Kind.BETA2, step, declared);
  }

  double rateFactor(long step) {
    return value(ZooFault.Kind.RATE, step, 1);
  }

  boolean sums(long step) {
    return acts(ZooFault.Kind.SUM, step);
  }

  boolean clips(long step, int slice) {
    return !strikes(ZooFault.Kind.CLIP_SKIPPED, step, slice);
  }

  boolean reports(long step, int rank) {
    return !strikes(ZooFault.Kind.SILENT, step, rank);
  }

  boolean frozen(long step, int parameter) {
    return faults.stream()
        .anyMatch(
            f ->
                f.kind() == ZooFault.Kind.FROZEN
                    && f.acts(step)
                    && (f.parameter() < 0 || f.parameter() == parameter));
  }

  Batch fed(long step, int rank, Batch batch) {
    Batch fed = batch;
    for (ZooFault fault : faults) {
      if (!fault.strikes(step, rank)) {
        continue;
      }
      if (fault.kind() == ZooFault.Kind.INPUTS) {
        float[] inputs = fed.inputs().clone();
        for (int i = 0; i < inputs.length; i++) {
          inputs[i] *= (float) fault.strength();
        }
        fed = new Batch(fed.samples(), inputs, fed.tokens(), fed.targets(), fed.classes());
      } else if (fault.kind() == ZooFault.Kind.LABELS) {
        fed = relabelled(fed);
      }
    }
    return fed;
  }

  Disturbance disturbance(long step, int rank, int stream, boolean half, float scale) {
    int at = -1;
    for (ZooFault fault : faults) {
      if (fault.kind() == ZooFault.Kind.NAN
          && fault.strikes(step, rank)
          && parameters.get(fault.parameter()).stream() == stream) {
        at = fault.parameter();
      }
    }
    return at < 0 && !half && scale == 1 ? Disturbance.NONE : new Disturbance(at, half, scale);
  }

  void strikeGradient(long step, int rank, int[] own, float[][] gradient) {
    for (ZooFault fault : faults) {
      if (!fault.strikes(step, rank)) {
        continue;
      }
      for (int p : own) {
        if (fault.parameter() >= 0 && fault.parameter() != p) {
          continue;
        }
        switch (fault.kind()) {
          case BIT_FLIPS -> flipBits(gradient[p], fault.strength());
          case GRADIENT -> scale(gradient, p, fault.strength());
          case NOISE -> addNoise(gradient[p], fault.strength());
          default -> {
            // The others act elsewhere.
          }
        }
      }
    }
  }

  /**
   * The lowest bit of the exponent above the first four that is not set: a value becomes 2^16, 2^32
   * ... times as large, never smaller.
   */
  private void flipBits(float[] values, double share) {
    int flips = (int) Math.max(1, Math.round(share * values.length));
    for (int i = 0; i < flips; i++) {
      int e = random.nextInt(values.length);
      int bits = Float.floatToRawIntBits(values[e]);
      int bit = 23 + 4;
      while (bit < 30 && (bits & 1 << bit) != 0) {
        bit++;
      }
      values[e] = Float.intBitsToFloat(bits | 1 << bit);
    }
  }

  private void addNoise(float[] values, double part) {
    double squares = 0;
    double ofNoise = 0;
    double[] noise = new double[values.length];
    for (int e = 0; e < values.length; e++) {
      noise[e] = random.nextGaussian();
      ofNoise += noise[e] * noise[e];
      squares += (double) values[e] * values[e];
    }
    double factor = part * Math.sqrt(squares / ofNoise);
    for (int e = 0; e < values.length; e++) {
      values[e] += (float) (factor * noise[e]);
    }
  }

  /** Every sample has the targets of another one. */
  private static Batch relabelled(Batch batch) {
    return new Batch(
        batch.samples(),
        batch.inputs(),
        batch.tokens(),
        shifted(batch.targets(), batch.samples()),
        shifted(batch.classes(), batch.samples()));
  }

  private static float[] shifted(float[] targets, int samples) {
    float[] shifted = new float[targets.length];
    int by = targets.length / samples * Math.max(1, samples / 2);
    for (int i = 0; i < targets.length; i++) {
      shifted[(i + by) % targets.length] = targets[i];
    }
    return shifted;
  }

  private static int[] shifted(int[] classes, int samples) {
    int[] shifted = new int[classes.length];
    int by = classes.length / samples * Math.max(1, samples / 2);
    for (int i = 0; i < classes.length; i++) {
      shifted[(i + by) % classes.length] = classes[i];
    }
    return shifted;
  }

  private void preferOne(float[][] weights, ZooFault fault) {
    Parameter router = parameters.get(fault.parameter());
    if (router.kind() != LayerKind.ROUTER || router.rows() != 1) {
      throw new IllegalArgumentException(
          "fault ROUTER: expected the bias of a router, got " + router);
    }
    weights[fault.parameter()][0] += (float) fault.strength();
  }

  private static void scale(float[][] values, int parameter, double factor) {
    float[] scaled = values[parameter];
    for (int e = 0; e < scaled.length; e++) {
      scaled[e] *= (float) factor;
    }
  }

  private boolean acts(ZooFault.Kind kind, long step) {
    return faults.stream().anyMatch(f -> f.kind() == kind && f.acts(step));
  }

  private boolean strikes(ZooFault.Kind kind, long step, int rank) {
    return faults.stream().anyMatch(f -> f.kind() == kind && f.strikes(step, rank));
  }

  private double value(ZooFault.Kind kind, long step, double otherwise) {
    return faults.stream()
        .filter(f -> f.kind() == kind && f.acts(step))
        .mapToDouble(ZooFault::strength)
        .findFirst()
        .orElse(otherwise);
  }
}
