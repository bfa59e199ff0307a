package io.gradflow.core.window;

import io.gradflow.core.StepId;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.norm.TestRun;
import io.gradflow.core.shard.RunNotice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Steps of layers of 4 elements whose log2 RMS is known, rolled into windows. Largest magnitudes
 * are twice the RMS.
 */
final class WindowedRun implements WindowRoller.Output {
  private final TestRun run;
  private final WindowRoller roller;
  private final WindowState state = WindowState.inMemory();
  private final List<LayerWindow> windows = new ArrayList<>();

  WindowedRun(int layers) {
    this(layers, new PlainMatrices());
  }

  WindowedRun(int layers, Matrices matrices) {
    run = TestRun.replicas(1, layers);
    roller = new WindowRoller(WindowPolicy.defaults(), matrices);
    roller.notice(state, new RunNotice(run.manifest(), null), 0, this);
  }

  WindowState state() {
    return state;
  }

  /** A step with norms alone. */
  void step(long number, double... log2Rms) {
    step(number, scalars(null, null, false), null, null, log2Rms);
  }

  /** A step with a loss and a learning rate. */
  void trained(long number, double loss, double learningRate, double... log2Rms) {
    step(number, scalars(loss, learningRate, false), null, null, log2Rms);
  }

  /** A step that the optimiser skipped. */
  void skipped(long number, StepSignals signals, double... log2Rms) {
    step(number, scalars(null, null, true), null, signals, log2Rms);
  }

  /** A step with signals and, unless null, zeros. */
  void signalled(long number, long[] zeros, StepSignals signals, double... log2Rms) {
    step(number, scalars(null, null, false), zeros, signals, log2Rms);
  }

  private static StepScalars scalars(Double loss, Double learningRate, boolean skipped) {
    double[] rates = learningRate == null ? null : new double[] {learningRate};
    return new StepScalars(loss, null, rates, null, skipped, null, null, 1);
  }

  private void step(
      long number, StepScalars scalars, long[] zeros, StepSignals signals, double... log2Rms) {
    double[] rms = Arrays.stream(log2Rms).map(x -> Math.pow(2, x)).toArray();
    double[] twice = Arrays.stream(rms).map(x -> 2 * x).toArray();
    roller.step(
        state,
        new Step(
            new StepId(TestRun.RUN, TestRun.ATTEMPT, StepId.MAIN_STREAM, number),
            run.manifest().manifestId(),
            0,
            1,
            0,
            1,
            ClosedBy.COMPLETE,
            false,
            1,
            1,
            new int[0],
            new int[0],
            null,
            null,
            1,
            new NormColumns(null, twice, twice, rms, twice, zeros, null, null, null),
            null,
            scalars,
            List.of(),
            signals),
        0,
        this);
  }

  /** The windows as they are published open, by layer. */
  List<LayerWindow> open() {
    windows.clear();
    roller.wake(state, TestRun.RUN, WindowPolicy.defaults().republish().toMillis(), this);
    return List.copyOf(windows);
  }

  /** The closed windows, by layer; nothing is remembered afterwards. */
  List<LayerWindow> close() {
    windows.clear();
    roller.end(state, TestRun.RUN, 0, this);
    return List.copyOf(windows);
  }

  @Override
  public void window(LayerWindow window) {
    windows.add(window);
  }

  @Override
  public void wakeAt(long ms) {
    // Tests wake it themselves.
  }

  @Override
  public void left(Step step) {
    throw new AssertionError("in no window: " + step.id());
  }
}
