package io.gradflow.operators.detect;

import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.StalledRunDetector;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.operators.types.RecordTypes;
import java.io.IOException;
import java.util.Optional;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.TimerService;

/**
 * Asks {@link StalledRunDetector} about the run of the current key when its time has come, with one
 * timer at a time.
 *
 * <p>Time in which nobody could have been heard is no silence.
 */
final class StallWatch {
  private final ValueState<Watched> state;
  private final Silence silence;

  /**
   * State of a run.
   *
   * @param wakeMs when its timer is due, {@link Long#MAX_VALUE} without one
   */
  public record Watched(StalledRunDetector.State run, long wakeMs) {}

  /**
   * @param silence knows since when the runs could be heard
   */
  StallWatch(RuntimeContext context, Silence silence) {
    state = context.getState(new ValueStateDescriptor<>("stall", RecordTypes.of(Watched.class)));
    this.silence = silence;
  }

  /** A step was judged. */
  void step(Step step, DetectionPolicy policy, TimerService timers) throws IOException {
    long now = silence.now(timers);
    keep(StalledRunDetector.step(watched().run(), step, policy.stalledRun(), now), policy, timers);
  }

  /** The run said something. */
  void event(RunEvent event, DetectionPolicy policy, TimerService timers) throws IOException {
    keep(StalledRunDetector.event(watched().run(), event), policy, timers);
  }

  /** Called by every timer of the key: what is to be said, if anything. */
  Optional<StepFindings> wake(DetectionPolicy policy, TimerService timers) throws IOException {
    Watched watched = state.value();
    long now = silence.now(timers);
    if (watched == null || now < watched.wakeMs()) {
      return Optional.empty();
    }
    StalledRunDetector.State run = watched.run();
    state.update(new Watched(run, Long.MAX_VALUE));
    long due = StalledRunDetector.dueMs(run, policy.stalledRun(), silence.startedMs());
    if (now < due) {
      keep(run, policy, timers);
      return Optional.empty();
    }
    long waited = now - silence.since(run.heardMs());
    StalledRunDetector.Stall stall = StalledRunDetector.stalled(run, policy, waited);
    state.update(new Watched(stall.state(), Long.MAX_VALUE));
    return stall.findings().findings().isEmpty() ? Optional.empty() : Optional.of(stall.findings());
  }

  /** Forgets the current key. */
  void clear() {
    state.clear();
  }

  private Watched watched() throws IOException {
    Watched watched = state.value();
    return watched == null ? new Watched(StalledRunDetector.State.FRESH, Long.MAX_VALUE) : watched;
  }

  private void keep(StalledRunDetector.State run, DetectionPolicy policy, TimerService timers)
      throws IOException {
    long wake = watched().wakeMs();
    long due = StalledRunDetector.dueMs(run, policy.stalledRun(), silence.startedMs());
    if (due < wake) {
      timers.registerProcessingTimeTimer(due);
      wake = due;
    }
    state.update(new Watched(run, wake));
  }
}
