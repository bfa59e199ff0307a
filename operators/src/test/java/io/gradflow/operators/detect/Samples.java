package io.gradflow.operators.detect;

import io.gradflow.core.StepId;
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
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** A run of four layers and two ranks. */
final class Samples {
  static final String RUN = "run-1";
  static final int LAYERS = 4;
  static final Manifest MANIFEST =
      new Manifest(
              RUN,
              1,
              StepId.MAIN_STREAM,
              0,
              0,
              1,
              0,
              LAYERS,
              2,
              List.of(new MeshAxis("dp_replicate", 2)),
              List.of(new Reporting(Stage.REDUCED, null, 1), new Reporting(Stage.LOCAL, null, 1)),
              "mean",
              "float32",
              null,
              null,
              null,
              null,
              IntStream.range(0, LAYERS).mapToObj(Samples::layer).toList())
          .identified();

  private Samples() {}

  /** A step in which every layer has the same norm. */
  static Step healthy(long attempt, long step) {
    return step(attempt, step, 2, new int[0], 1);
  }

  /** A step in which every layer has the same norm, written then. */
  static Step written(long attempt, long step, long ms) {
    Step healthy = healthy(attempt, step);
    RankEvidence evidence = healthy.evidence();
    return new Step(
        healthy.id(),
        healthy.manifestId(),
        0,
        1,
        0,
        healthy.revision(),
        healthy.closedBy(),
        false,
        1,
        2,
        healthy.missingRanks(),
        healthy.conflictingRanks(),
        null,
        null,
        healthy.globalNorm(),
        healthy.norms(),
        new RankEvidence(
            evidence.ranks(),
            evidence.localNorm(),
            evidence.arrivalLagMs(),
            evidence.dropped(),
            0,
            new int[0],
            new float[0],
            null,
            null,
            null,
            null,
            null,
            null,
            ms,
            null,
            null),
        healthy.scalars(),
        List.of(),
        null);
  }

  /** A step in which rank 1 computed NaN in the backward pass of layer 2. */
  static Step nan(long attempt, long step, long revision) {
    return step(attempt, step, revision, new int[] {0, 1, 2}, 1);
  }

  /** A step in which every gradient is that many times the usual. */
  static Step scaled(long attempt, long step, double factor) {
    return step(attempt, step, 2, new int[0], factor);
  }

  /** A step as two parts of two layers each. */
  static List<Step> halves(Step step) {
    return List.of(half(step, 0), half(step, 1));
  }

  private static Layer layer(int i) {
    return new Layer(
        "layer" + i,
        "layer" + i,
        i,
        LayerKind.WEIGHT,
        100,
        "float32",
        true,
        false,
        false,
        null,
        List.of(Placement.REPLICATE));
  }

  private static Step step(long attempt, long step, long revision, int[] bad, double factor) {
    double[] l2 = new double[LAYERS];
    double[] rms = new double[LAYERS];
    Arrays.fill(l2, 10 * factor);
    Arrays.fill(rms, factor);
    long[] ones = new long[bad.length];
    int[] ranks = new int[bad.length];
    Arrays.fill(ones, 1);
    Arrays.fill(ranks, 1);
    for (int i : bad) {
      l2[i] = Double.NaN;
      rms[i] = Double.NaN;
    }
    return step(
        new StepId(RUN, attempt, StepId.MAIN_STREAM, step),
        0,
        1,
        revision,
        new NormColumns(
            null,
            l2,
            l2,
            rms,
            l2,
            new long[LAYERS],
            bad.length == 0 ? null : new NonFinite(bad, ones, new long[3], new long[3]),
            bad.length == 0 ? null : ranks,
            null));
  }

  private static Step half(Step step, int part) {
    double[] l2 = Arrays.copyOfRange(step.norms().l2(), 2 * part, 2 * part + 2);
    double[] rms = Arrays.copyOfRange(step.norms().rms(), 2 * part, 2 * part + 2);
    return step(
        step.id(),
        part,
        2,
        step.revision(),
        new NormColumns(null, l2, l2, rms, l2, new long[2], null, null, null));
  }

  private static Step step(StepId id, int part, int parts, long revision, NormColumns norms) {
    return new Step(
        id,
        MANIFEST.manifestId(),
        part,
        parts,
        part * norms.size(),
        revision,
        ClosedBy.COMPLETE,
        false,
        1,
        2,
        new int[0],
        new int[0],
        null,
        null,
        20,
        norms,
        new RankEvidence(
            new int[] {0, 1},
            new double[2],
            new long[2],
            new long[2],
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
        new StepScalars(1.0, null, null, null, false, null, null, 8),
        List.of(),
        null);
  }
}
