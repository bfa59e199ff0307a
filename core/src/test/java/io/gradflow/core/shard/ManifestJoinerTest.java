package io.gradflow.core.shard;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.MemoryCell;
import io.gradflow.core.MemoryStore;
import io.gradflow.core.Rejection;
import io.gradflow.core.norm.TestRun;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ManifestJoinerTest implements ManifestJoiner.Output {
  private final ManifestJoiner joiner = new ManifestJoiner(Duration.ofDays(30));
  private final MemoryStore<ManifestPart, Manifest> parts = new MemoryStore<>();
  private final ManifestJoiner.State state = new ManifestJoiner.State(new MemoryCell<>(), parts);
  private final List<RunNotice> toRun = new ArrayList<>();
  private final List<GroupNotice> toGroups = new ArrayList<>();
  private final List<Rejection> rejections = new ArrayList<>();
  private final List<Long> wakes = new ArrayList<>();
  private final TestRun run = TestRun.replicas(130, 5);

  @Override
  public void notice(RunNotice notice) {
    toRun.add(notice);
  }

  @Override
  public void notice(GroupNotice notice) {
    toGroups.add(notice);
  }

  @Override
  public void rejection(Rejection rejection) {
    rejections.add(rejection);
  }

  @Override
  public void wakeAt(long ms) {
    wakes.add(ms);
  }

  private Manifest part(int part, int parts, int from, int to) {
    Manifest whole = run.manifest();
    return new Manifest(
        whole.runId(),
        whole.attempt(),
        whole.stream(),
        whole.manifestId(),
        part,
        parts,
        from,
        whole.layerCount(),
        whole.worldSize(),
        whole.mesh(),
        whole.reporting(),
        whole.reduceOp(),
        whole.gradientDtype(),
        whole.reductionDtype(),
        whole.masterDtype(),
        whole.optimizer(),
        whole.adamEps(),
        whole.layers().subList(from, to));
  }

  @Test
  void partsInAnyOrderMakeOneManifestForAllGroups() {
    joiner.manifest(state, part(1, 2, 3, 5), 0, this);
    assertThat(toRun).isEmpty();
    joiner.manifest(state, part(0, 2, 0, 3), 0, this);
    assertThat(toRun).hasSize(1);
    assertThat(toRun.get(0).manifest()).isEqualTo(run.manifest());
    assertThat(toGroups).extracting(GroupNotice::group).containsExactly(0, 1, 2);
    assertThat(toGroups.get(0).layout().layerCount()).isEqualTo(5);
    assertThat(parts.size()).isZero();
  }

  @Test
  void eventsWaitForTheFirstManifestOnTheWayToTheGroups() {
    joiner.event(state, run.event(RunEvent.Type.FINISHED, 3), 0, this);
    assertThat(toRun).hasSize(1);
    assertThat(toGroups).isEmpty();
    joiner.manifest(state, run.manifest(), 0, this);
    joiner.event(state, run.event(RunEvent.Type.FINISHED, 4), 0, this);
    assertThat(toGroups).hasSize(9);
    assertThat(toGroups.subList(3, 6)).allMatch(n -> n.event().step() == 3);
    assertThat(toGroups.subList(6, 9)).allMatch(n -> n.event().step() == 4);
  }

  @Test
  void whatDoesNotFitTogetherIsRejectedInOneSentence() {
    joiner.manifest(state, part(0, 2, 0, 3), 0, this);
    joiner.manifest(state, part(1, 2, 4, 5), 0, this);
    joiner.manifest(state, part(2, 2, 4, 5), 0, this);
    joiner.manifest(state, part(0, 1, 0, 2), 0, this);
    assertThat(toGroups).isEmpty();
    String who = "manifest %016x of run run-1: ".formatted(run.manifest().manifestId());
    assertThat(rejections)
        .extracting(Rejection::detail)
        .containsExactly(
            who + "expected part 1 to begin at layer 3, got 4; fix the publisher",
            who + "expected a part below parts, got 2 of 2; fix the publisher",
            who + "expected 5 layers, got 2; fix the publisher");
    assertThat(rejections).allMatch(r -> r.reason().equals("bad-manifest"));
  }

  @Test
  void aRunIsForgottenAfterItsRetention() {
    joiner.manifest(state, part(0, 2, 0, 3), 0, this);
    long day = Duration.ofDays(1).toMillis();
    joiner.event(state, run.event(RunEvent.Type.STARTED, -1), 10 * day, this);
    assertThat(wakes).containsExactly(30 * day);
    joiner.wake(state, 30 * day, this);
    assertThat(wakes).containsExactly(30 * day, 40 * day);
    joiner.wake(state, 40 * day, this);
    assertThat(state.book().get()).isNull();
    assertThat(parts.size()).isZero();
    assertThat(wakes).hasSize(2);
  }

  @Test
  void anOutageLongerThanTheRetentionForgetsNothing() {
    joiner.manifest(state, run.manifest(), 0, this);
    long day = Duration.ofDays(1).toMillis();
    ManifestJoiner restored = new ManifestJoiner(Duration.ofDays(30));
    restored.wake(state, 50 * day, this);
    assertThat(wakes).containsExactly(30 * day, 80 * day);
    toGroups.clear();
    restored.event(state, run.event(RunEvent.Type.FINISHED, 3), 51 * day, this);
    assertThat(toGroups).as("the run's groups are still known").hasSize(3);
  }
}
