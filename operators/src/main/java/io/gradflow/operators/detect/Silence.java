package io.gradflow.operators.detect;

import io.gradflow.core.Uptime;
import io.gradflow.operators.types.RecordTypes;
import java.io.IOException;
import java.time.Duration;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.TimerService;

/**
 * Notices that nothing was heard of a key for a while, in processing time, with one timer per key.
 *
 * <p>Time in which nobody could have been heard is no silence, whether the job did not run or had
 * no contact: a timer that is overdue then is armed anew.
 */
final class Silence {
  private final ValueState<Heard> state;
  private final long patienceMs;
  private final Contact contact;
  private final Uptime uptime = new Uptime();

  /**
   * State of a key.
   *
   * @param lastMs when something was heard last
   * @param wakeMs when the key's timer is due
   */
  public record Heard(long lastMs, long wakeMs) {}

  Silence(RuntimeContext context, Duration patience, Contact contact) {
    state = context.getState(new ValueStateDescriptor<>("heard", RecordTypes.of(Heard.class)));
    patienceMs = patience.toMillis();
    this.contact = contact;
  }

  /** Something was heard of the current key. */
  void end(TimerService timers) throws IOException {
    Heard heard = state.value();
    long now = now(timers);
    if (heard == null) {
      wake(timers, now, now + patienceMs);
    } else {
      state.update(new Heard(now, heard.wakeMs()));
    }
  }

  /** Whether the current key's silence has lasted; called by every timer of the key. */
  boolean hasLasted(TimerService timers) throws IOException {
    Heard heard = state.value();
    long now = now(timers);
    if (heard == null || now < heard.wakeMs()) {
      return false;
    }
    long until = since(heard.lastMs()) + patienceMs;
    if (now >= until) {
      return true;
    }
    wake(timers, heard.lastMs(), until);
    return false;
  }

  /** Forgets the current key. */
  void clear() {
    state.clear();
  }

  /** Processing time; this instance began at the first one it saw, or where it lost contact. */
  long now(TimerService timers) {
    long now = timers.currentProcessingTime();
    uptime.at(now);
    uptime.deafAt(contact.lostMs());
    return now;
  }

  /** Since when what was heard last at {@code lastMs} has been silent; after {@link #now}. */
  long since(long lastMs) {
    return uptime.silentSince(lastMs);
  }

  /** When this instance began, known after {@link #now}. */
  long startedMs() {
    return uptime.since();
  }

  private void wake(TimerService timers, long lastMs, long at) throws IOException {
    timers.registerProcessingTimeTimer(at);
    state.update(new Heard(lastMs, at));
  }
}
