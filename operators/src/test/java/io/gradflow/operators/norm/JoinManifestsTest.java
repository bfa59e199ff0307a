package io.gradflow.operators.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import java.time.Duration;
import org.apache.flink.api.common.typeinfo.Types;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class JoinManifestsTest {
  private final SmallRun run = new SmallRun("run");

  private static Trial<String, Manifest, RunEvent, GroupNotice> trial(Trial.Mode mode)
      throws Exception {
    return new Trial<>(
        mode,
        () -> new JoinManifests(Duration.ofDays(30)),
        Manifest::runId,
        RunEvent::runId,
        Types.STRING,
        JoinManifests.RUN_NOTICES);
  }

  /** The manifest in two parts, the second of them without layers. */
  private Manifest part(int part) {
    Manifest whole = run.manifest();
    return new Manifest(
        whole.runId(),
        whole.attempt(),
        whole.stream(),
        whole.manifestId(),
        part,
        2,
        part,
        1,
        whole.worldSize(),
        whole.mesh(),
        whole.reporting(),
        whole.reduceOp(),
        whole.gradientDtype(),
        null,
        null,
        null,
        null,
        whole.layers().subList(0, 1 - part));
  }

  @ParameterizedTest
  @EnumSource
  void wholeManifestsAndEventsReachTheGroups(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.finished(3));
      trial.first(part(1));
      assertThat(trial.output()).isEmpty();
      trial.first(part(0));
      assertThat(trial.output()).hasSize(2);
      assertThat(trial.output().get(0).layout().manifestId())
          .isEqualTo(run.manifest().manifestId());
      assertThat(trial.last().event().step()).isEqualTo(3);
      assertThat(trial.sideOutput()).hasSize(2);
      assertThat(((RunNotice) trial.sideOutput().get(1)).manifest().layers()).hasSize(1);
      trial.pass(Duration.ofDays(31).toMillis());
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void theEndOfABoundedInputForgetsTheRun(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.first(part(0));
      trial.second(run.finished(3));
      trial.end();
      assertThat(trial.output()).isEmpty();
      assertThat(trial.retained()).isZero();
    }
  }
}
