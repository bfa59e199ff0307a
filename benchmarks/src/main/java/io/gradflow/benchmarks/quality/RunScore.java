package io.gradflow.benchmarks.quality;

import io.gradflow.training.zoo.Truth;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How a system did in one run.
 *
 * @param found one for each episode of the truth that counts, in its order
 * @param falseAlarms alarms that no episode explains
 * @param falsePages those of them that woke somebody
 */
record RunScore(
    Trace.About run, List<Found> found, List<Alarm> falseAlarms, List<Alarm> falsePages) {
  /** Steps after its onset in which an abrupt fault must be found. */
  static final long ABRUPT_DEADLINE = 60;

  /** Likewise of one that builds up. */
  static final long RAMP_DEADLINE = 200;

  /** Runs of more steps than this give what builds up a quarter of their length. */
  static final long LONG_RUN = 5_000;

  /** Steps after the end of a fault to which alarms are put down. */
  static final long AFTERMATH = 300;

  /** Layers and ranks that count as named. */
  private static final int NAMED = 3;

  /**
   * What became of an episode.
   *
   * @param any delay of the first alarm in time; -1: there was none
   * @param classed delay of the first in time that named the right cause, of systems that name any;
   *     -1: there was none
   * @param named cause that the alarm named by the deadline; null: there was none, or it names none
   * @param alarms how many there were while the fault, or its aftermath, lasted
   * @param layer place of a right layer among those named, from 0; {@link #UNNAMED} if none is
   *     named or none is to be; {@link #WRONG} if it is not among the first three
   * @param rank likewise
   */
  record Found(
      Truth.Episode episode,
      long any,
      long classed,
      Truth.Cause named,
      int alarms,
      int layer,
      int rank) {
    static final int UNNAMED = -1;
    static final int WRONG = NAMED;
  }

  /** Steps that a system has to find an episode. */
  static long deadline(Trace.About run, Truth.Episode episode) {
    if (episode.abrupt()) {
      return ABRUPT_DEADLINE;
    }
    return run.lastStep() > LONG_RUN ? run.lastStep() / 4 : RAMP_DEADLINE;
  }

  /**
   * Scores the alarms of a run. Each episode takes the alarms that open between its onset and its
   * deadline; an alarm that was open before explains nothing. What opens later while the fault or
   * its aftermath lasts is late, not false. Everything else is false. A run that is excluded says
   * nothing.
   */
  static RunScore of(Trace.About run, List<Alarm> alarms, boolean classifies) {
    if (run.truth().excluded() != null) {
      return new RunScore(run, List.of(), List.of(), List.of());
    }
    List<Alarm> unexplained = new ArrayList<>(alarms);
    List<Alarm> unused = new ArrayList<>(alarms);
    List<Found> found = new ArrayList<>();
    List<Truth.Episode> episodes =
        run.truth().episodes().stream()
            .sorted(Comparator.comparingLong(Truth.Episode::onset))
            .toList();
    for (Truth.Episode episode : episodes) {
      long by = episode.onset() + deadline(run, episode);
      List<Alarm> inTime =
          unused.stream()
              .filter(alarm -> alarm.opened() >= episode.onset() && alarm.opened() <= by)
              .toList();
      Alarm classed =
          inTime.stream()
              .filter(alarm -> alarm.reading(by).cause() == episode.cause())
              .findFirst()
              .orElse(null);
      Alarm any = inTime.isEmpty() ? null : inTime.get(0);
      List<Alarm> explained = unexplained.stream().filter(a -> explains(episode, a)).toList();
      unexplained.removeAll(explained);
      unused.remove(classed == null ? any : classed);
      Alarm best = classed == null ? any : classed;
      found.add(
          new Found(
              episode,
              any == null ? -1 : any.opened() - episode.onset(),
              !classifies || classed == null ? -1 : classed.opened() - episode.onset(),
              best == null ? null : best.reading(by).cause(),
              explained.size(),
              best == null ? Found.UNNAMED : place(best.reading(by).layers(), episode.layers()),
              best == null || episode.rank() < 0
                  ? Found.UNNAMED
                  : place(best.reading(by).ranks(), List.of(episode.rank()))));
    }
    List<Alarm> pages = unexplained.stream().filter(alarm -> alarm.paged() >= 0).toList();
    return new RunScore(run, List.copyOf(found), List.copyOf(unexplained), pages);
  }

  private static boolean explains(Truth.Episode episode, Alarm alarm) {
    boolean lasting = episode.end() > Long.MAX_VALUE - AFTERMATH;
    return alarm.opened() >= episode.onset()
        && (lasting || alarm.opened() <= episode.end() + AFTERMATH);
  }

  private static <T> int place(List<T> named, List<T> right) {
    if (right.isEmpty() || named.isEmpty()) {
      return Found.UNNAMED;
    }
    for (int i = 0; i < Math.min(NAMED, named.size()); i++) {
      if (right.contains(named.get(i))) {
        return i;
      }
    }
    return Found.WRONG;
  }
}
