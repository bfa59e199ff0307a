package io.gradflow.operators.detect;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Rejection;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.apache.flink.streaming.api.operators.co.CoBroadcastWithKeyedOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedBroadcastOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DetectFindingsTest {
  private static final long DAY_MS = Duration.ofDays(1).toMillis();

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aNanIsFoundInARunWithItsManifest(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      step(job, Samples.healthy(1, 0));
      step(job, Samples.nan(1, 1, 2));

      assertThat(job.output()).hasSize(2);
      assertThat(job.output().get(0).findings()).isEmpty();
      Finding finding = job.output().get(1).findings().get(0);
      assertThat(finding.kind()).isEqualTo(FindingKind.NON_FINITE);
      assertThat(finding.layer()).isEqualTo("layer2");
      assertThat(finding.rank()).isEqualTo(1);
      assertThat(job.output().get(1).policyVersion()).isZero();
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void trendsAreRememberedAcrossSteps(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      for (int i = 0; i < 40; i++) {
        step(job, Samples.scaled(1, i, 1 + 0.01 * (i % 7)));
      }
      step(job, Samples.scaled(1, 40, 100));

      assertThat(job.output()).hasSize(41);
      assertThat(job.output().get(40).findings())
          .extracting(Finding::kind)
          .containsOnly(FindingKind.EXPLODING_SPIKE);
      assertThat(job.output().subList(0, 40)).allMatch(step -> step.findings().isEmpty());
      assertNothingIsRetained(job);
    }
  }

  @Test
  void rocksDbStateGivesTheSameFindings() throws Exception {
    try (var heap = job(true);
        var rocksDb = job(DetectFindingsTest::onRocksDb, true)) {
      for (var job : List.of(heap, rocksDb)) {
        manifest(job, Samples.MANIFEST);
        for (int i = 0; i < 35; i++) {
          step(job, Samples.scaled(1, i, 1 + 0.01 * (i % 7)));
        }
        step(job, Samples.scaled(1, 35, 100));
        step(job, Samples.nan(1, 36, 2));
      }

      assertThat(rocksDb.output()).hasSize(37);
      assertThat(rocksDb.output())
          .usingRecursiveFieldByFieldElementComparator()
          .isEqualTo(heap.output());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRuleChangesTheModeWhileTheRunGoesOn(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      step(job, Samples.nan(1, 0, 2));
      rule(job, new Rule("*", FindingKind.NON_FINITE, 5, Rule.Mode.OFF, Map.of()));
      step(job, Samples.nan(1, 1, 2));
      rule(job, new Rule("*", FindingKind.NON_FINITE, 4, Rule.Mode.ENABLED, Map.of()));
      rule(job, new Rule(Samples.RUN, FindingKind.NON_FINITE, 6, Rule.Mode.SHADOW, Map.of()));
      step(job, Samples.nan(1, 2, 2));

      assertThat(job.output()).extracting(StepFindings::policyVersion).containsExactly(0L, 5L, 6L);
      assertThat(job.output()).extracting(step -> step.findings().size()).containsExactly(1, 0, 1);
      assertThat(job.output().get(2).findings().get(0).shadow()).isTrue();
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aVoidRuleIsRejectedAndThePolicyStays(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      rule(job, new Rule("*", FindingKind.NON_FINITE, 5, Rule.Mode.OFF, Map.of("loudness", 3.0)));
      step(job, Samples.nan(1, 0, 2));

      assertThat(job.output().get(0).findings()).hasSize(1);
      assertThat(rejections(job)).extracting(Rejection::reason).containsExactly("void-rule");
      assertThat(rejections(job).get(0).detail())
          .isEqualTo(
              "rule of policy version 5: NON_FINITE: expected a threshold of [skips, sustained],"
                  + " got \"loudness\"");
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRepeatedStepIsNoNewsAndARevisionIs(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      step(job, Samples.healthy(1, 0));
      step(job, Samples.healthy(1, 1));
      step(job, Samples.healthy(1, 0));
      step(job, Samples.nan(1, 0, 3));
      step(job, Samples.nan(1, 0, 3));

      assertThat(job.output()).extracting(step -> step.id().step()).containsExactly(0L, 1L, 0L);
      assertThat(job.output().get(2).findings()).hasSize(1);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aHigherAttemptFencesTheLowerOne(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      step(job, Samples.healthy(1, 9));
      step(job, Samples.healthy(2, 5));
      step(job, Samples.nan(1, 10, 2));
      step(job, Samples.healthy(2, 6));

      assertThat(job.output()).extracting(step -> step.id().step()).containsExactly(9L, 5L, 6L);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void stepsWaitForTheirManifest(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      step(job, Samples.healthy(1, 0));
      step(job, Samples.healthy(1, 1));
      assertThat(job.output()).isEmpty();

      manifest(job, Samples.MANIFEST);

      assertThat(job.output()).extracting(step -> step.id().step()).containsExactly(0L, 1L);
      assertThat(job.aside()).isEmpty();
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void stepsWhoseManifestNeverComesAreRejected(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      step(job, Samples.healthy(1, 0));
      job.pass(29_000);
      assertThat(job.aside()).isEmpty();

      job.passWithoutRestart(60_000);
      job.passWithoutRestart(60_000);

      assertThat(rejections(job)).extracting(Rejection::reason).containsExactly("no-manifest");
      assertThat(rejections(job).get(0).detail())
          .startsWith("run run-1 attempt 1 stream main step 0: expected manifest ")
          .endsWith(" within 30 s, got none; publish it before the steps");
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theTimeOfAnOutageIsNoWaiting(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      step(job, Samples.healthy(1, 0));

      job.outage(3_600_000);
      manifest(job, Samples.MANIFEST);

      assertThat(job.output()).hasSize(1);
      assertThat(job.aside()).isEmpty();
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aStepInPartsIsJudgedOnce(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      List<Step> halves = Samples.halves(Samples.healthy(1, 0));
      step(job, halves.get(1));
      assertThat(job.output()).isEmpty();
      step(job, halves.get(0));
      step(job, halves.get(0));

      assertThat(job.output()).extracting(step -> step.id().step()).containsExactly(0L);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aSilentRunIsForgottenAndAnotherIsNot(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      job.pass(DAY_MS / 2);
      step(job, Samples.healthy(1, 0));
      job.pass(DAY_MS / 2 + 1);
      step(job, Samples.healthy(1, 1));

      assertThat(job.output()).hasSize(2);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void anEventIsNoManifest(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      var id = Samples.healthy(1, 0).id();
      var finished =
          new RunEvent(
              id.runId(), id.attempt(), id.stream(), 0, RunEvent.Type.FINISHED, 0, Map.of());
      job.event(
          h ->
              h.processElement(new StreamRecord<>(StepOrNotice.of(new RunNotice(null, finished)))));
      step(job, Samples.healthy(1, 0));
      assertThat(job.output()).isEmpty();
      manifest(job, Samples.MANIFEST);

      assertThat(job.output()).hasSize(1);
      assertThat(job.aside()).isEmpty();
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRunWhoseStepsStopComingIsStalled(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      long now = stepsOfASecond(job, 12);
      job.passWithoutRestart(59_000);
      assertThat(job.output()).hasSize(12);

      // The first timer after a restart tells an instance that it has begun.
      job.passWithoutRestart(60_000);
      job.passWithoutRestart(60_000);

      assertThat(job.output()).hasSize(13);
      StepFindings stall = job.output().get(12);
      assertThat(stall.timed()).isTrue();
      assertThat(stall.id().step()).isEqualTo(11);
      assertThat(stall.findings())
          .extracting(Finding::kind)
          .containsExactly(FindingKind.STALLED_RUN);
      job.passWithoutRestart(600_000);
      assertThat(job.output()).as("it is told once").hasSize(13);
      step(job, Samples.written(1, 12, now + 779_000));
      assertThat(job.output().get(13).active()).isEmpty();
      assertNothingIsRetained(job);
    }
  }

  @Test
  void whileNobodyCanBeHeardNoRunIsStalled() throws Exception {
    var contact = new Flaky();
    try (var job = job(() -> onHeap(contact), false)) {
      manifest(job, Samples.MANIFEST);
      long now = stepsOfASecond(job, 12);

      for (int waited = 0; waited < 600_000; waited += 10_000) {
        contact.lostMs = now + waited;
        job.passWithoutRestart(10_000);
      }
      job.passWithoutRestart(49_000);
      assertThat(job.output()).as("contact was missing until 59 s ago").hasSize(12);

      job.passWithoutRestart(2_000);
      assertThat(job.output()).hasSize(13);
      assertThat(job.output().get(12).findings())
          .extracting(Finding::kind)
          .containsExactly(FindingKind.STALLED_RUN);
      assertThat(job.output().get(12).findings().get(0).observed()).isBetween(60.0, 61.0);
    }
    assertThat(contact.isOpen).as("contact is watched no longer than the operator runs").isFalse();
  }

  /** Is lost when the test says so. */
  private static final class Flaky implements Contact {
    private long lostMs = NEVER;
    private boolean isOpen;

    @Override
    public void open(int subtask) {
      isOpen = true;
    }

    @Override
    public long lostMs() {
      return lostMs;
    }

    @Override
    public void close() {
      isOpen = false;
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRunThatSaidItPausesIsNotStalledUntilItResumes(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      stepsOfASecond(job, 12);
      event(job, RunEvent.Type.PAUSED, 1);
      job.passWithoutRestart(600_000);
      job.passWithoutRestart(600_000);
      assertThat(job.output()).hasSize(12);

      event(job, RunEvent.Type.RESUMED, 2);
      job.passWithoutRestart(61_000);
      job.passWithoutRestart(61_000);
      assertThat(job.output()).hasSize(13);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRunThatHasFinishedIsNotStalled(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      event(job, RunEvent.Type.FINISHED, 1);
      stepsOfASecond(job, 12);
      job.passWithoutRestart(600_000);
      job.passWithoutRestart(600_000);

      assertThat(job.output()).hasSize(12);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theTimeOfAnOutageIsNoStall(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      manifest(job, Samples.MANIFEST);
      long now = stepsOfASecond(job, 12);
      job.outage(3_600_000);
      job.passWithoutRestart(30_000);
      step(job, Samples.written(1, 12, now + 3_630_000));

      assertThat(job.output()).hasSize(13).noneMatch(StepFindings::timed);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRuleSilencesStalls(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      rule(job, new Rule("*", FindingKind.STALLED_RUN, 5, Rule.Mode.OFF, Map.of()));
      manifest(job, Samples.MANIFEST);
      stepsOfASecond(job, 12);
      job.passWithoutRestart(600_000);
      job.passWithoutRestart(600_000);

      assertThat(job.output()).hasSize(12);
      assertNothingIsRetained(job);
    }
  }

  /** Steps from 0 on, a second apart; the time of the last. */
  private static long stepsOfASecond(
      Restarting<KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, ?>
          job,
      int count)
      throws Exception {
    for (int i = 0; i < count; i++) {
      job.passWithoutRestart(1_000);
      step(job, Samples.written(1, i, 1_000L * (i + 1)));
    }
    return 1_000L * count;
  }

  private static void event(
      Restarting<KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, ?>
          job,
      RunEvent.Type type,
      long at)
      throws Exception {
    var id = Samples.healthy(1, 11).id();
    var event = new RunEvent(id.runId(), id.attempt(), id.stream(), id.step(), type, at, Map.of());
    job.event(
        h -> h.processElement(new StreamRecord<>(StepOrNotice.of(new RunNotice(null, event)))));
  }

  /** A silent run is forgotten within a day; after a restart the day begins anew. */
  private static void assertNothingIsRetained(
      Restarting<KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, ?>
          job)
      throws Exception {
    job.passWithoutRestart(DAY_MS);
    job.passWithoutRestart(DAY_MS);
    assertThat(job.entries()).isZero();
    assertThat(job.timers()).isZero();
  }

  private static List<Rejection> rejections(Restarting<?, ?> job) {
    return job.aside().stream().map(Rejection.class::cast).toList();
  }

  private static void manifest(
      Restarting<KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, ?>
          job,
      Manifest manifest)
      throws Exception {
    job.event(
        h -> h.processElement(new StreamRecord<>(StepOrNotice.of(new RunNotice(manifest, null)))));
  }

  private static void step(
      Restarting<KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, ?>
          job,
      Step step)
      throws Exception {
    job.event(h -> h.processElement(new StreamRecord<>(StepOrNotice.of(step))));
  }

  private static void rule(
      Restarting<KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, ?>
          job,
      Rule rule)
      throws Exception {
    job.event(h -> h.processBroadcastElement(new StreamRecord<>(rule)));
  }

  private static KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>
      onHeap() throws Exception {
    return onHeap(Contact.ALWAYS);
  }

  private static KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings> onHeap(
      Contact contact) throws Exception {
    return new KeyedBroadcastOperatorTestHarness<>(
        new CoBroadcastWithKeyedOperator<>(
            new DetectFindings(contact), List.of(DetectFindings.RULES)),
        StepOrNotice::run,
        Types.STRING,
        1,
        1,
        0);
  }

  private static KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>
      onRocksDb() throws Exception {
    var harness = onHeap();
    harness.setStateBackend(new EmbeddedRocksDBStateBackend());
    return harness;
  }

  private static Restarting<
          KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, StepFindings>
      job(boolean restarts) throws Exception {
    return job(DetectFindingsTest::onHeap, restarts);
  }

  private static Restarting<
          KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>, StepFindings>
      job(
          Restarting.Fresh<
                  KeyedBroadcastOperatorTestHarness<String, StepOrNotice, Rule, StepFindings>>
              fresh,
          boolean restarts)
          throws Exception {
    return new Restarting<>(fresh, DetectFindings.REJECTED, restarts);
  }
}
