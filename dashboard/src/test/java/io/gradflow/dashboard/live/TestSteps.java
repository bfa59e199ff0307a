package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
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
import io.gradflow.schema.Topic;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** Steps whose norms are told. */
final class TestSteps {
  /** Of each stage. */
  static final int LAYERS = 2;

  static final RunStream RUN = new RunStream("run", StepId.MAIN_STREAM);

  private TestSteps() {}

  static Step step(long attempt, long number, long revision, double... norms) {
    return part(attempt, number, revision, 0, 1, 0, null, norms);
  }

  /** What one stage of a pipeline says, all its norms being 2^revision. */
  static Step ofStage(int stage, long attempt, long number, long revision) {
    double[] norms = new double[LAYERS];
    Arrays.fill(norms, Math.pow(2, (double) revision));
    return part(100 + stage, attempt, number, revision, 0, 1, 0, null, norms);
  }

  /** The manifest of a stage: ranks 2 stage and 2 stage + 1 report. */
  static Manifest manifest(int stage, long attempt) {
    return manifest(100 + stage, attempt, "stage" + stage, 2 * stage, 2 * stage + 1);
  }

  /**
   * A manifest.
   *
   * @param layers what its layers' names begin with
   */
  static Manifest manifest(long id, long attempt, String layers, int... ranks) {
    return new Manifest(
        RUN.run(),
        attempt,
        RUN.stream(),
        id,
        0,
        1,
        0,
        LAYERS,
        8,
        List.of(new MeshAxis("pp", 4), new MeshAxis("dp_replicate", 2)),
        List.of(new Reporting(Stage.REDUCED, ranks.length == 0 ? null : ranks, 1)),
        "mean",
        "float32",
        null,
        null,
        "AdamW",
        null,
        IntStream.range(0, LAYERS).mapToObj(i -> layer(layers + "." + i, i)).toList());
  }

  private static Layer layer(String name, int depth) {
    return new Layer(
        name,
        null,
        depth,
        LayerKind.WEIGHT,
        100,
        "float32",
        true,
        false,
        false,
        null,
        List.of(Placement.SHARD, Placement.REPLICATE));
  }

  static Step part(
      long attempt,
      long number,
      long revision,
      int part,
      int parts,
      int firstLayer,
      NonFinite bad,
      double... norms) {
    return part(7, attempt, number, revision, part, parts, firstLayer, bad, norms);
  }

  private static Step part(
      long manifestId,
      long attempt,
      long number,
      long revision,
      int part,
      int parts,
      int firstLayer,
      NonFinite bad,
      double... norms) {
    return new Step(
        new StepId(RUN.run(), attempt, RUN.stream(), number),
        manifestId,
        part,
        parts,
        firstLayer,
        revision,
        ClosedBy.COMPLETE,
        false,
        1,
        2,
        new int[0],
        new int[0],
        null,
        null,
        1,
        new NormColumns(null, norms, norms, norms, norms, null, bad, null, null),
        null,
        new StepScalars(null, null, null, null, false, null, null, 1),
        List.of(),
        null);
  }

  static Origin at(long offset) {
    return new Origin(Topic.STEPS.topicName(), 0, offset, 1_000 + offset);
  }

  static StepRow row(long attempt, long number, long revision, long offset) {
    return StepRow.of(step(attempt, number, revision, 1), at(offset));
  }

  /** Everything read from a start to an offset, of topics of one partition. */
  static Reading read(int era, long start, long last) {
    Map<Topic, long[]> starts = new EnumMap<>(Topic.class);
    Map<Topic, long[]> read = new EnumMap<>(Topic.class);
    for (Topic topic : List.of(Topic.STEPS, Topic.ALERTS, Topic.RUNS)) {
      starts.put(topic, new long[] {topic == Topic.STEPS ? start : 0});
      read.put(topic, new long[] {topic == Topic.STEPS ? last : -1});
    }
    return new Reading(era, starts, read, true, 1, 0, 0);
  }
}
