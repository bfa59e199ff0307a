package io.gradflow.core.window;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.TestRun;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class WindowRollerTest implements WindowRoller.Output {
  private final TestRun run = TestRun.replicas(1, 2);
  private WindowRoller roller = new WindowRoller(WindowPolicy.defaults(), new PlainMatrices());
  private final WindowState state = WindowState.inMemory();
  private final List<LayerWindow> windows = new ArrayList<>();
  private final List<Step> left = new ArrayList<>();
  private final TreeSet<Long> timers = new TreeSet<>();
  private long now = 1_000_000;

  @Override
  public void window(LayerWindow window) {
    windows.add(window);
  }

  @Override
  public void wakeAt(long ms) {
    timers.add(ms);
  }

  @Override
  public void left(Step step) {
    left.add(step);
  }

  private void pass(long ms) {
    long until = now + ms;
    while (!timers.isEmpty() && timers.first() <= until) {
      now = Math.max(now, timers.pollFirst());
      roller.wake(state, TestRun.RUN, now, this);
    }
    now = until;
  }

  private WindowRollerTest manifested() {
    roller.notice(state, new RunNotice(run.manifest(), null), now, this);
    return this;
  }

  private Step step(long number, long revision, boolean late, double... l2) {
    double[] rms = new double[l2.length];
    List<Integer> bad = new ArrayList<>();
    for (int i = 0; i < l2.length; i++) {
      rms[i] = l2[i] / 2;
      if (Double.isNaN(l2[i])) {
        bad.add(i);
      }
    }
    int[] layers = bad.stream().mapToInt(i -> i).toArray();
    NonFinite nonFinite =
        layers.length == 0
            ? null
            : new NonFinite(
                layers, new long[layers.length], new long[layers.length], new long[layers.length]);
    return new Step(
        new StepId(TestRun.RUN, TestRun.ATTEMPT, StepId.MAIN_STREAM, number),
        run.manifest().manifestId(),
        0,
        1,
        0,
        revision,
        ClosedBy.COMPLETE,
        late,
        1,
        1,
        new int[0],
        new int[0],
        new int[] {1},
        new double[] {0.5},
        1,
        new NormColumns(null, l2, l2, rms, l2, new long[] {3, 0}, nonFinite, null, null),
        null,
        null,
        List.of(),
        null);
  }

  private void send(long number, double... l2) {
    roller.step(state, step(number, 1, false, l2), now, this);
  }

  @Test
  void closesWithTheFirstStepBeyond() {
    manifested();
    for (int i = 0; i < 100; i++) {
      send(200 + i, i + 1, 4);
    }
    assertThat(windows).isEmpty();
    send(317, 1, 1);
    assertThat(windows).hasSize(2);
    LayerWindow window = windows.get(0);
    assertThat(window.layer()).isEqualTo("layer0");
    assertThat(window.open()).isFalse();
    assertThat(window.firstStep()).isEqualTo(200);
    assertThat(window.steps()).isEqualTo(100);
    assertThat(window.firstSeen()).isEqualTo(200);
    assertThat(window.lastSeen()).isEqualTo(299);
    assertThat(window.l2()).isEqualTo(new LayerWindow.Spread(50.5, 1, 100, 100, 50, 95));
    assertThat(window.zeros()).isEqualTo(300);
    assertThat(window.completeness()).isEqualTo(1);
    assertThat(windows.get(1).log2Rms()).isEqualTo(new LayerWindow.Spread(1, 1, 1, 1, 1, 1));
    assertThat(windows.get(1).completeness()).isEqualTo(0.5);
    pass(100 * 3_600_000L);
    nothingIsRetained();
  }

  @Test
  void zerosHaveNoLogarithmAndNullsNoNorm() {
    manifested();
    send(0, 0, Double.NaN);
    send(1, 8, Double.NaN);
    roller.end(state, TestRun.RUN, now, this);
    assertThat(windows.get(0).log2Rms()).isEqualTo(new LayerWindow.Spread(2, 2, 2, 2, 2, 2));
    assertThat(windows.get(0).l2().min()).isZero();
    assertThat(windows.get(1).l2()).isNull();
    assertThat(windows.get(1).log2Rms()).isNull();
    assertThat(windows.get(1).nonFinite()).isEqualTo(2);
    nothingIsRetained();
  }

  @Test
  void anOpenWindowIsPublishedAgainWhileItChanges() {
    manifested();
    send(0, 1, 1);
    pass(9_000);
    assertThat(windows).isEmpty();
    pass(1_500);
    assertThat(windows).hasSize(2).allMatch(LayerWindow::open);
    pass(60_000);
    assertThat(windows).hasSize(2);
    send(1, 1, 1);
    pass(10_000);
    assertThat(windows).hasSize(4).allMatch(LayerWindow::open);
    assertThat(windows.get(3).steps()).isEqualTo(2);
    pass(100 * 3_600_000L);
    assertThat(windows.get(5).open()).isFalse();
    nothingIsRetained();
  }

  @Test
  void aRevisionReplacesItsRowAndLateStepsAreOutside() {
    manifested();
    send(0, 1, 1);
    send(2, 3, 1);
    roller.step(state, step(0, 2, false, 5, 1), now, this);
    roller.step(state, step(1, 1, true, 50, 1), now, this);
    send(100, 1, 1);
    roller.step(state, step(2, 2, false, 50, 1), now, this);
    assertThat(windows.get(0).l2()).isEqualTo(new LayerWindow.Spread(4, 3, 5, 3, 3, 5));
    assertThat(windows).hasSize(2);
    assertThat(left).hasSize(2);
    roller.end(state, TestRun.RUN, now, this);
    nothingIsRetained();
  }

  @Test
  void closesWithTheRun() {
    manifested();
    send(0, 1, 1);
    roller.notice(state, new RunNotice(null, run.event(RunEvent.Type.FINISHED, 1)), now, this);
    assertThat(windows).isEmpty();
    send(1, 1, 1);
    assertThat(windows).hasSize(2).noneMatch(LayerWindow::open);
    pass(3_700_000);
    assertThat(windows).hasSize(2);
    nothingIsRetained();
  }

  @Test
  void closesInSilenceAfterTheRunEvenIfItsLastStepIsLost() {
    manifested();
    send(0, 1, 1);
    roller.notice(state, new RunNotice(null, run.event(RunEvent.Type.FINISHED, 1)), now, this);
    pass(31_000);
    assertThat(windows.get(windows.size() - 1).open()).isFalse();
    pass(3_700_000);
    nothingIsRetained();
  }

  @Test
  void stepsHeldUpAfterTheEndJoinTheirWindow() {
    manifested();
    send(0, 1, 1);
    roller.notice(state, new RunNotice(null, run.event(RunEvent.Type.FINISHED, 2)), now, this);
    pass(60_000);
    int closed = windows.size();
    assertThat(windows.get(closed - 1).open()).isFalse();
    send(1, 3, 1);
    send(2, 5, 1);
    assertThat(windows).hasSize(closed + 2).noneMatch(w -> w.open() && w.steps() > 1);
    assertThat(windows.get(closed).steps()).isEqualTo(3);
    assertThat(windows.get(closed).l2()).isEqualTo(new LayerWindow.Spread(3, 1, 5, 5, 3, 5));
    pass(100 * 3_600_000L);
    assertThat(windows).as("nothing new to say").hasSize(closed + 2);
    nothingIsRetained();
  }

  @Test
  void anOutageLongerThanTheRetentionForgetsNothing() {
    manifested();
    send(0, 1, 1);
    roller.notice(state, new RunNotice(null, run.event(RunEvent.Type.FINISHED, 1)), now, this);
    now += 10 * 24 * 3_600_000L;
    roller = new WindowRoller(WindowPolicy.defaults(), new PlainMatrices());
    pass(29_000);
    send(1, 3, 1);
    assertThat(windows).filteredOn(w -> !w.open()).hasSize(2).allMatch(w -> w.steps() == 2);
    assertThat(left).isEmpty();
    nothingIsRetained();
  }

  @Test
  void stepsWaitForTheNames() {
    send(0, 1, 1);
    send(100, 1, 1);
    assertThat(windows).isEmpty();
    manifested();
    assertThat(windows).hasSize(2);
    roller.end(state, TestRun.RUN, now, this);
    assertThat(windows).hasSize(4);
    nothingIsRetained();
  }

  private void nothingIsRetained() {
    pass(100 * 3_600_000L);
    assertThat(state.index().get()).isNull();
    assertThat(state.names().keys()).isEmpty();
    assertThat(state.rows().keys()).isEmpty();
    assertThat(state.waiting().keys()).isEmpty();
    assertThat(timers).isEmpty();
  }
}
