package io.gradflow.cli;

import io.gradflow.core.StepId;
import io.gradflow.core.compare.RunTimeline;
import io.gradflow.core.compare.SpanStatistics;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** A run of weights alone, whose steps are drawn: a level in octaves each, and noise about it. */
final class DrawnRun {
  static final double NOISE = 0.1;
  private static final long ELEMENTS = 1_000;

  private final String run;
  private final Manifest manifest;
  private final Random random;
  private final Map<String, Double> shifts = new HashMap<>();
  private double learningRate = 0.1;

  DrawnRun(String run, long seed, String... layers) {
    this.run = run;
    this.random = new Random(seed);
    List<Layer> described = new ArrayList<>();
    for (int depth = 0; depth < layers.length; depth++) {
      described.add(
          new Layer(
              layers[depth],
              "block" + depth,
              depth,
              LayerKind.WEIGHT,
              ELEMENTS,
              "float32",
              true,
              false,
              false,
              null,
              List.of(Placement.REPLICATE)));
    }
    manifest =
        new Manifest(
                run,
                1,
                StepId.MAIN_STREAM,
                0,
                0,
                1,
                0,
                layers.length,
                1,
                List.of(new MeshAxis("dp_replicate", 1)),
                List.of(new Reporting(Stage.REDUCED, null, 1)),
                "mean",
                "float32",
                null,
                null,
                "sgd",
                null,
                described)
            .identified();
  }

  Manifest manifest() {
    return manifest;
  }

  /** From now on the layer's gradient is so many octaves above its level, -8. */
  DrawnRun shift(String layer, double octaves) {
    shifts.put(layer, octaves);
    return this;
  }

  DrawnRun learningRate(double rate) {
    learningRate = rate;
    return this;
  }

  List<Step> steps(long attempt, long from, long to) {
    List<Step> steps = new ArrayList<>();
    for (long step = from; step <= to; step++) {
      steps.add(step(attempt, step, 4));
    }
    return steps;
  }

  Step step(long attempt, long step, long revision) {
    int layers = manifest.layerCount();
    double[] rms = new double[layers];
    int[] bad = new int[layers];
    int bads = 0;
    for (int i = 0; i < layers; i++) {
      double shift = shifts.getOrDefault(manifest.layers().get(i).name(), 0.0);
      rms[i] = Math.pow(2, -8 + shift + NOISE * random.nextGaussian());
      if (Double.isNaN(rms[i])) {
        bad[bads++] = i;
      }
    }
    double[] l2 = Arrays.stream(rms).map(x -> x * Math.sqrt(ELEMENTS)).toArray();
    bad = Arrays.copyOf(bad, bads);
    long[] nans = new long[bads];
    Arrays.fill(nans, 1);
    int[] ranks = new int[bads];
    Arrays.fill(ranks, -1);
    return new Step(
        new StepId(run, attempt, StepId.MAIN_STREAM, step),
        manifest.manifestId(),
        0,
        1,
        0,
        revision,
        ClosedBy.COMPLETE,
        false,
        1,
        1,
        new int[0],
        new int[0],
        null,
        null,
        Math.sqrt(Arrays.stream(l2).map(x -> x * x).sum()),
        new NormColumns(
            null,
            l2,
            Arrays.stream(rms).map(x -> 4 * x).toArray(),
            rms,
            Arrays.stream(l2).map(x -> Double.isNaN(x) ? 0 : x).toArray(),
            Arrays.stream(rms).mapToLong(x -> x == 0 ? ELEMENTS : 0).toArray(),
            bads == 0 ? null : new NonFinite(bad, nans, new long[bads], new long[bads]),
            bads == 0 ? null : ranks,
            null),
        new RankEvidence(
            new int[] {0},
            new double[] {Double.NaN},
            new long[1],
            new long[1],
            0,
            new int[0],
            new float[0],
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null),
        new StepScalars(
            1 - step / 1024.0, null, new double[] {learningRate}, null, false, null, null, 32),
        List.of(),
        null);
  }

  /** One side of a comparison, as if these steps had been read. */
  ComparedSpan span(List<Step> steps) {
    RunTimeline timeline = new RunTimeline();
    steps.forEach(step -> timeline.add(step.id(), step.revision()));
    return new ComparedSpan(
        run, StepId.MAIN_STREAM, SpanStatistics.of(manifest.layers(), timeline.all(), steps));
  }
}
