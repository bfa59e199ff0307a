package io.gradflow.operators.norm;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.TimerService;

/**
 * The timers of the current key: at most one in processing time, and one that fires when a bounded
 * input has ended (timers in processing time do not).
 */
final class Alarm {
  /** The timestamp of the last watermark of a bounded input. */
  private static final long END_OF_INPUT = Long.MAX_VALUE;

  private final ValueState<Long> armed;

  Alarm(RuntimeContext context) {
    armed = context.getState(new ValueStateDescriptor<>("alarm", Types.LONG));
  }

  /** Fires then, instead of when it was to fire before. */
  void set(TimerService timers, long ms) {
    try {
      Long before = armed.value();
      if (before != null) {
        timers.deleteProcessingTimeTimer(before);
      }
      timers.registerProcessingTimeTimer(ms);
      armed.update(ms);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** It fired. */
  void rang() {
    armed.clear();
  }

  /** Fires at the end of the input too. */
  void setForEndOfInput(TimerService timers) {
    timers.registerEventTimeTimer(END_OF_INPUT);
  }

  /** Never fires. */
  void unset(TimerService timers) {
    try {
      Long before = armed.value();
      if (before != null) {
        timers.deleteProcessingTimeTimer(before);
      }
      armed.clear();
      timers.deleteEventTimeTimer(END_OF_INPUT);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
