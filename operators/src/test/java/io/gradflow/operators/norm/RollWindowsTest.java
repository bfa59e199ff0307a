package io.gradflow.operators.norm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.signal.Octaves;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowPolicy;
import io.gradflow.core.window.WindowSignals;
import java.util.List;
import org.apache.flink.api.common.typeinfo.Types;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RollWindowsTest {
  private static final long HOUR = 3_600_000;
  private final SmallRun run = new SmallRun("run");

  private static Trial<String, Step, RunNotice, LayerWindow> trial(Trial.Mode mode)
      throws Exception {
    return new Trial<>(
        mode,
        () -> new RollWindows(WindowPolicy.defaults()),
        step -> step.id().runId(),
        RunNotice::runId,
        Types.STRING,
        Rejections.TAG);
  }

  private Step step(long number, double norm) {
    return step(number, norm, null);
  }

  private Step step(long number, double norm, StepSignals signals) {
    double[] column = {norm};
    return new Step(
        new StepId(run.runId(), 1, StepId.MAIN_STREAM, number),
        run.manifest().manifestId(),
        0,
        1,
        0,
        1,
        ClosedBy.COMPLETE,
        false,
        1,
        SmallRun.RANKS,
        new int[0],
        new int[0],
        null,
        null,
        norm,
        new NormColumns(null, column, column, column, column, null, null, null, null),
        null,
        null,
        List.of(),
        signals);
  }

  private static StepSignals signals(double weightNorm, long elements) {
    return new StepSignals(
        null,
        null,
        null,
        new double[] {weightNorm},
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        Histograms.of(List.of(new Octaves(new int[] {-1}, new long[] {elements}))),
        null,
        null);
  }

  @ParameterizedTest
  @EnumSource
  void slopesAndSignalsOfAWindow(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.named());
      trial.first(step(0, 1, signals(1, 3)));
      trial.first(step(1, 2));
      trial.first(step(2, 4, signals(8, 4)));
      trial.end();
      assertThat(trial.last().slope()).isCloseTo(1, within(1e-12));
      WindowSignals signals = trial.last().signals();
      assertThat(signals.trustRatio()).isEqualTo(0.75);
      assertThat(signals.crest()).isEqualTo(1);
      assertThat(signals.magnitudes().steps()).isEqualTo(2);
      assertThat(signals.magnitudes().counts()).containsExactly(7);
      assertThat(signals.cosine()).isNull();
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void windowsCloseWithTheStepBeyondAndWithTheRun(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.first(step(97, 1));
      trial.second(run.named());
      trial.first(step(98, 2));
      trial.first(step(99, 4));
      assertThat(trial.output()).isEmpty();
      trial.first(step(100, 8));
      assertThat(trial.output()).hasSize(1);
      assertThat(trial.last().open()).isFalse();
      assertThat(trial.last().layer()).isEqualTo("weight");
      assertThat(trial.last().log2Rms()).isEqualTo(new LayerWindow.Spread(1, 0, 2, 2, 1, 2));
      trial.pass(10_500);
      assertThat(trial.last().open()).isTrue();
      assertThat(trial.last().firstStep()).isEqualTo(100);
      trial.second(new RunNotice(null, run.finished(100)));
      assertThat(trial.output()).hasSize(3);
      assertThat(trial.last().open()).isFalse();
      trial.pass(5 * HOUR);
      assertThat(trial.output()).hasSize(3);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void theEndOfABoundedInputClosesTheOpenWindow(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.named());
      trial.first(step(5, 1));
      trial.end();
      assertThat(trial.output()).singleElement().matches(window -> !window.open());
      assertThat(trial.retained()).isZero();
    }
  }
}
