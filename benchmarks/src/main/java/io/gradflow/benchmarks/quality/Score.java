package io.gradflow.benchmarks.quality;

import io.gradflow.training.zoo.Truth;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;

/**
 * How a system did in many runs. Of recall and delay, episodes that are expected to be missed are
 * left out. Numbers of nothing are NaN.
 */
final class Score {
  /** Steps of a run in which one fault is expected, for {@link #precisionAtBaseRate}. */
  static final double BASE_RATE = 50_000;

  private static final int RESAMPLES = 1_000;
  private static final double CONFIDENCE = 0.95;

  private final List<RunScore> runs;
  private final boolean classifies;
  private final boolean expectedMisses;

  /**
   * @param classifies whether an episode counts as found only if its cause is named
   */
  Score(Collection<RunScore> runs, boolean classifies) {
    this(runs, classifies, false);
  }

  private Score(Collection<RunScore> runs, boolean classifies, boolean expectedMisses) {
    this.runs = List.copyOf(runs);
    this.classifies = classifies;
    this.expectedMisses = expectedMisses;
  }

  /** An estimate with the ends of its interval of 95 %. */
  record Rate(double value, double low, double high) {}

  /** The same of some of the runs. */
  Score of(Predicate<Trace.About> which) {
    return new Score(
        runs.stream().filter(run -> which.test(run.run())).toList(), classifies, expectedMisses);
  }

  /** The same, with any alarm counting whatever cause it names. */
  Score classless() {
    return new Score(runs, false, expectedMisses);
  }

  List<RunScore> runs() {
    return runs;
  }

  /** By family, in the order of the runs; families without episodes that count are left out. */
  Map<String, Score> byFamily() {
    Map<String, List<RunScore>> families = new LinkedHashMap<>();
    for (RunScore run : runs) {
      if (!run.found().isEmpty()) {
        families.computeIfAbsent(run.run().family(), family -> new ArrayList<>()).add(run);
      }
    }
    Map<String, Score> scores = new LinkedHashMap<>();
    families.forEach((family, its) -> scores.put(family, new Score(its, classifies)));
    return scores;
  }

  private List<RunScore.Found> counted() {
    return runs.stream()
        .filter(run -> run.run().truth().expectedMiss() == expectedMisses)
        .flatMap(run -> run.found().stream())
        .toList();
  }

  private long delay(RunScore.Found found) {
    return classifies ? found.classed() : found.any();
  }

  /** Delays of the episodes found, ascending. */
  double[] delays(Predicate<Truth.Episode> which) {
    return counted().stream()
        .filter(found -> which.test(found.episode()) && delay(found) >= 0)
        .mapToDouble(this::delay)
        .sorted()
        .toArray();
  }

  int episodes() {
    return counted().size();
  }

  int found() {
    return (int) counted().stream().filter(found -> delay(found) >= 0).count();
  }

  double recall() {
    return (double) found() / episodes();
  }

  /** The same, counting only the episodes that are expected to be missed. */
  Score expectedMisses() {
    return new Score(runs, classifies, true);
  }

  /** Episodes found over these and false alarms, wherever they were. */
  double precision() {
    double alarms = runs.stream().mapToInt(run -> run.falseAlarms().size()).sum();
    return found() / (found() + alarms);
  }

  double f1() {
    double precision = precision();
    double recall = recall();
    return precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall);
  }

  /** What precision would be with one fault in {@link #BASE_RATE} steps. */
  double precisionAtBaseRate() {
    double alarms = healthy().stream().mapToInt(run -> run.falseAlarms().size()).sum();
    return recall() / (recall() + BASE_RATE * alarms / healthySteps());
  }

  /** The p-th percentile of the delays in steps. */
  double delay(double percent, Predicate<Truth.Episode> which) {
    double[] delays = delays(which);
    return delays.length == 0
        ? Double.NaN
        : delays[(int) Math.ceil(percent / 100 * delays.length) - 1];
  }

  private List<RunScore> healthy() {
    return runs.stream().filter(run -> run.run().healthy()).toList();
  }

  int healthyRuns() {
    return healthy().size();
  }

  long healthySteps() {
    return healthy().stream().mapToLong(run -> run.run().steps()).sum();
  }

  long healthyLayerSteps() {
    return healthy().stream().mapToLong(run -> run.run().layerSteps()).sum();
  }

  /** Alarms in healthy runs per 10,000 layer-steps, without an interval, which takes its time. */
  double falseAlertRate() {
    double alarms = healthy().stream().mapToInt(run -> run.falseAlarms().size()).sum();
    return 10_000 * alarms / healthyLayerSteps();
  }

  /** The same with its interval. */
  Rate falseAlerts() {
    return rate(10_000, run -> run.falseAlarms().size(), run -> run.run().layerSteps());
  }

  /** Alarms in healthy runs in so many steps. */
  Rate falseIncidents(double per) {
    return rate(per, run -> run.falseAlarms().size(), run -> run.run().steps());
  }

  /** Alarms in healthy runs that wake somebody, in so many steps. */
  Rate falsePages(double per) {
    return rate(per, run -> run.falsePages().size(), run -> run.run().steps());
  }

  /**
   * A ratio over the healthy runs. Its interval comes from drawing whole runs with replacement, for
   * what happens within a run goes together; with no event at all its upper end is three events.
   */
  private Rate rate(
      double per, ToDoubleFunction<RunScore> events, ToDoubleFunction<RunScore> exposure) {
    double[] counts = healthy().stream().mapToDouble(events).toArray();
    double[] exposures = healthy().stream().mapToDouble(exposure).toArray();
    double total = Arrays.stream(exposures).sum();
    if (total == 0) {
      return new Rate(Double.NaN, Double.NaN, Double.NaN);
    }
    double value = per * Arrays.stream(counts).sum() / total;
    if (value == 0) {
      return new Rate(0, 0, per * 3 / total);
    }
    Random random = new Random(1);
    double[] drawn = new double[RESAMPLES];
    for (int i = 0; i < RESAMPLES; i++) {
      double some = 0;
      double of = 0;
      for (int n = 0; n < counts.length; n++) {
        int run = random.nextInt(counts.length);
        some += counts[run];
        of += exposures[run];
      }
      drawn[i] = per * some / of;
    }
    Arrays.sort(drawn);
    int tail = (int) ((1 - CONFIDENCE) / 2 * RESAMPLES);
    return new Rate(value, drawn[tail], drawn[RESAMPLES - 1 - tail]);
  }

  /**
   * Share of the episodes found that have a right layer among the first {@code top} named, of those
   * in which a layer is to be named and is.
   */
  double rootLayer(int top) {
    return share(
        counted().stream()
            .filter(found -> delay(found) >= 0)
            .mapToInt(RunScore.Found::layer)
            .toArray(),
        top);
  }

  /** Likewise of ranks. */
  double rootRank(int top) {
    return share(
        counted().stream()
            .filter(found -> delay(found) >= 0)
            .mapToInt(RunScore.Found::rank)
            .toArray(),
        top);
  }

  private static double share(int[] places, int top) {
    long named = Arrays.stream(places).filter(place -> place != RunScore.Found.UNNAMED).count();
    long right = Arrays.stream(places).filter(place -> place >= 0 && place < top).count();
    return (double) right / named;
  }

  /** Alarms per episode found, 1 at best. */
  double floods() {
    return counted().stream()
        .filter(found -> delay(found) >= 0)
        .mapToInt(RunScore.Found::alarms)
        .average()
        .orElse(Double.NaN);
  }
}
