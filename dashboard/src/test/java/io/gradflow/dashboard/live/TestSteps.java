package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.schema.Topic;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** Steps whose norms are told. */
final class TestSteps {
  static final RunStream RUN = new RunStream("run", StepId.MAIN_STREAM);

  private TestSteps() {}

  static Step step(long attempt, long number, long revision, double... norms) {
    return part(attempt, number, revision, 0, 1, 0, null, norms);
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
    return new Step(
        new StepId(RUN.run(), attempt, RUN.stream(), number),
        7,
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
