package io.gradflow.benchmarks.quality;

import io.gradflow.training.zoo.Truth;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes alarms of alerts, the same way for every system: alerts in successive steps are one
 * episode, and so are episodes less than {@value #APART} steps apart, unless they name different
 * causes.
 */
final class Alarms {
  /** Episodes less far apart are one. */
  static final long APART = 50;

  /** Readings kept of an episode; of more the last ones are replaced. */
  private static final int READINGS = 32;

  private final List<Open> alarms = new ArrayList<>();

  private static final class Open {
    private final Truth.Cause cause;
    private final long opened;
    private long last;
    private long paged = -1;
    private final List<Alarm.Reading> readings = new ArrayList<>();

    Open(Truth.Cause cause, long opened) {
      this.cause = cause;
      this.opened = opened;
      last = opened;
    }
  }

  /**
   * An alert.
   *
   * @param pages whether it wakes somebody
   * @return the episode it belongs to, for {@link #say} and {@link #lasts}
   */
  int raise(Alarm.Reading reading, boolean pages) {
    for (int i = alarms.size() - 1; i >= 0; i--) {
      Open alarm = alarms.get(i);
      Truth.Cause latest = alarm.readings.get(alarm.readings.size() - 1).cause();
      boolean same = alarm.cause == reading.cause() || latest == reading.cause();
      if (same && reading.at() < alarm.last + APART) {
        lasts(i, reading.at());
        say(i, reading, pages);
        return i;
      }
    }
    alarms.add(new Open(reading.cause(), reading.at()));
    say(alarms.size() - 1, reading, pages);
    return alarms.size() - 1;
  }

  /** The episode is told to be something else, or worse. */
  void say(int episode, Alarm.Reading reading, boolean pages) {
    Open alarm = alarms.get(episode);
    List<Alarm.Reading> readings = alarm.readings;
    boolean repeats =
        !readings.isEmpty()
            && readings.get(readings.size() - 1).layers().equals(reading.layers())
            && readings.get(readings.size() - 1).ranks().equals(reading.ranks())
            && readings.get(readings.size() - 1).cause() == reading.cause();
    if (!repeats && readings.size() == READINGS) {
      readings.set(READINGS - 1, reading);
    } else if (!repeats) {
      readings.add(reading);
    }
    if (pages && alarm.paged < 0) {
      alarm.paged = reading.at();
    }
  }

  /** The episode still has a reason. */
  void lasts(int episode, long at) {
    Open alarm = alarms.get(episode);
    alarm.last = Math.max(alarm.last, at);
  }

  /** All of them, by opening. */
  List<Alarm> all() {
    return alarms.stream()
        .map(alarm -> new Alarm(alarm.opened, alarm.last, alarm.paged, List.copyOf(alarm.readings)))
        .toList();
  }
}
