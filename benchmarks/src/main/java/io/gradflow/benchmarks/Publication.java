package io.gradflow.benchmarks;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.shard.Stage;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.RankStep;
import io.gradflow.training.TrainingPolicy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;

/**
 * What the ranks of a run publish, with every signal there is.
 *
 * @param shards by step, rank and stage
 */
record Publication(Manifest manifest, List<Shard> shards) {
  private static final String RUN = "bench";
  private static final long ATTEMPT = 1;

  /** A real training, both stages; the same shards each time. */
  static Publication ofTraining(TrainingPolicy policy) throws InterruptedException {
    DataParallelTraining training = new DataParallelTraining(policy, Optional.empty());
    Manifest manifest = PublishedRanks.manifest(RUN, ATTEMPT, policy.ranks(), training.layers());
    List<Shard> shards = Collections.synchronizedList(new ArrayList<>());
    float[][][] previous = new float[policy.ranks()][][];
    training.run(
        step -> {
          shards.add(shard(manifest, step.rank(), step, Stage.LOCAL, local(manifest, step)));
          LayerColumns reduced = reduced(manifest, step, previous[step.rank()]);
          shards.add(shard(manifest, step.rank(), step, Stage.REDUCED, reduced));
          previous[step.rank()] = copy(step.reduced());
        });
    shards.sort(
        Comparator.comparingLong((Shard shard) -> shard.id().step())
            .thenComparingInt(Shard::rank)
            .thenComparing(Shard::stage));
    return new Publication(manifest, List.copyOf(shards));
  }

  private static LayerColumns local(Manifest manifest, RankStep step) {
    return beside(
        measured(manifest, Stage.LOCAL, step.local()),
        null,
        null,
        null,
        dots(step.local(), step.reduced()),
        null,
        null);
  }

  private static LayerColumns reduced(Manifest manifest, RankStep step, float[][] previous) {
    return beside(
        measured(manifest, Stage.REDUCED, step.reduced()),
        Measurement.norms(step.weights()),
        step.updateNorms(),
        previous == null ? null : dots(step.reduced(), previous),
        null,
        step.activations().clone(),
        step.saturated().clone());
  }

  /** One step of normally distributed gradients, of the REDUCED stage alone. */
  static Publication drawn(int layers, int elements, int ranks, Placement placement) {
    List<Layer> declared = new ArrayList<>();
    int parts = placement == Placement.SHARD ? ranks : 1;
    for (int i = 0; i < layers; i++) {
      declared.add(
          new Layer(
              "layer." + i,
              null,
              i,
              LayerKind.WEIGHT,
              (long) parts * elements,
              "float32",
              true,
              false,
              false,
              null,
              List.of(placement)));
    }
    Manifest manifest =
        new Manifest(
                RUN,
                ATTEMPT,
                StepId.MAIN_STREAM,
                0,
                0,
                1,
                0,
                layers,
                ranks,
                List.of(new MeshAxis("dp_replicate", ranks)),
                List.of(new Reporting(Stage.REDUCED, null, 1)),
                "mean",
                "float32",
                "float32",
                "float32",
                "sgd",
                null,
                declared)
            .identified();
    List<Shard> shards = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      Random random = new Random(placement == Placement.SHARD ? rank : 0);
      float[][] gradient = new float[layers][elements];
      for (float[] layer : gradient) {
        for (int i = 0; i < elements; i++) {
          layer[i] = (float) random.nextGaussian();
        }
      }
      long[] units = new long[layers];
      Arrays.fill(units, elements);
      float[] dots = dots(gradient, gradient);
      float[] norms = Measurement.norms(gradient);
      LayerColumns columns = measured(manifest, Stage.REDUCED, gradient);
      columns = beside(columns, norms, norms, dots, null, units, units);
      shards.add(shard(manifest.manifestId(), rank, 0, Stage.REDUCED, 1, 0.1, columns));
    }
    return new Publication(manifest, shards);
  }

  /** Norms and moments of a REDUCED gradient whose slices are whole layers. */
  static LayerColumns measured(float[]... gradient) {
    Dtype[] dtypes = new Dtype[gradient.length];
    Arrays.fill(dtypes, Dtype.FLOAT32);
    Slicing slicing = new Slicing(RUN, 0, dtypes, new long[gradient.length]);
    return Measurement.of(Set.of(SignalGroup.MOMENTS), slicing, gradient);
  }

  private static LayerColumns measured(Manifest manifest, Stage stage, float[]... gradient) {
    Dtype[] dtypes = new Dtype[gradient.length];
    Arrays.fill(dtypes, Dtype.FLOAT32);
    Slicing slicing = new Slicing(manifest.runId(), 0, dtypes, new long[gradient.length]);
    LayerColumns columns = Measurement.of(SignalGroup.of(stage), slicing, gradient);
    // Slices are what the placement implies.
    return new LayerColumns(
        0,
        null,
        null,
        columns.norm(),
        columns.maxAbs(),
        columns.sumAbs(),
        columns.zeros(),
        columns.nonFinite(),
        null,
        columns.signals());
  }

  private static LayerColumns beside(
      LayerColumns columns,
      float[] weights,
      float[] updates,
      float[] dotPrevious,
      float[] dotReduced,
      long[] activations,
      long[] saturated) {
    SignalColumns own = columns.signals();
    return columns.with(
        new SignalColumns(
            own.sum(),
            own.subnormals(),
            own.minNonzeroAbs(),
            weights,
            updates,
            dotPrevious,
            dotReduced,
            activations,
            saturated,
            own.contentHash(),
            own.histograms(),
            own.sketches()));
  }

  private static Shard shard(
      Manifest manifest, int rank, RankStep step, Stage stage, LayerColumns columns) {
    return shard(
        manifest.manifestId(), rank, step.step(), stage, step.samples(), step.loss(), columns);
  }

  /** The same shard of another step. */
  static Shard atStep(long step, Shard shard) {
    return shard(
        shard.manifestId(),
        shard.rank(),
        step,
        shard.stage(),
        shard.weight(),
        shard.loss(),
        shard.columns());
  }

  /** The same shard under another manifest, of that stage. */
  static Shard of(long manifestId, Stage stage, Shard shard) {
    return shard(
        manifestId,
        shard.rank(),
        shard.id().step(),
        stage,
        shard.weight(),
        shard.loss(),
        shard.columns());
  }

  private static Shard shard(
      long manifestId,
      int rank,
      long step,
      Stage stage,
      double weight,
      double loss,
      LayerColumns columns) {
    return new Shard(
        new StepId(RUN, ATTEMPT, StepId.MAIN_STREAM, step),
        rank,
        new int[] {rank},
        0,
        1,
        manifestId,
        stage,
        step - 1,
        0,
        1,
        step,
        step,
        0,
        weight,
        null,
        false,
        null,
        null,
        loss,
        null,
        new double[] {0.1},
        "node-1",
        "cuda:0",
        columns,
        null);
  }

  private static float[] dots(float[][] a, float[][] b) {
    float[] dots = new float[a.length];
    for (int i = 0; i < dots.length; i++) {
      dots[i] = Measurement.held(Measurement.dot(a[i], b[i]));
    }
    return dots;
  }

  private static float[][] copy(float[]... gradient) {
    return Arrays.stream(gradient).map(float[]::clone).toArray(float[][]::new);
  }

  /** The same shards with some of their signals. */
  Publication with(SignalSet signals) {
    return new Publication(
        manifest,
        shards.stream()
            .map(shard -> shard.part(shard.part(), shard.parts(), signals.of(shard.columns())))
            .toList());
  }
}
