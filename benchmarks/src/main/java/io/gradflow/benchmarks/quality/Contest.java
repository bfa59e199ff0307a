package io.gradflow.benchmarks.quality;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * All systems on the same traces: how each does by default, and tuned.
 *
 * <p>Every system has the same budget, {@value #BUDGET} sensitivities, and is tuned on runs that it
 * is never judged by: the one of the highest recall among those with no more than {@link
 * #FALSE_ALERTS} false alerts in 10,000 layer-steps; if none is so quiet, that of the best F1; of
 * equal ones that nearest to the default. For tuning, an alarm counts whatever cause it names.
 */
final class Contest {
  /** Sensitivities of each system. */
  static final int BUDGET = 9;

  /** False alerts in 10,000 layer-steps that tuning allows. */
  static final double FALSE_ALERTS = 0.05;

  private final List<Watcher> systems;
  private final boolean sweeps;
  private final Map<Watcher, List<List<RunScore>>> evaluated = new LinkedHashMap<>();
  private final Map<Watcher, List<List<RunScore>>> tuned = new LinkedHashMap<>();

  /**
   * @param systems the first is the one that the others are compared with
   * @param sweeps whether all sensitivities are tried, not the defaults alone
   */
  Contest(List<Watcher> systems, boolean sweeps) {
    this.systems = List.copyOf(systems);
    this.sweeps = sweeps;
    for (Watcher system : systems) {
      if (system.factors().length != BUDGET
          || Arrays.stream(system.factors()).noneMatch(f -> f == system.standard())) {
        throw new IllegalArgumentException(
            "%s: expected %d factors, the default among them, got %s"
                .formatted(system.name(), BUDGET, Arrays.toString(system.factors())));
      }
      evaluated.put(system, lists(system));
      tuned.put(system, lists(system));
    }
  }

  private List<List<RunScore>> lists(Watcher system) {
    return Arrays.stream(factors(system))
        .<List<RunScore>>mapToObj(factor -> new ArrayList<>())
        .toList();
  }

  private double[] factors(Watcher system) {
    return sweeps ? system.factors() : new double[] {system.standard()};
  }

  /** What all sensitivities of all systems made of one run, by system and factor. */
  record Verdict(Map<Watcher, List<RunScore>> scores) {}

  /** Lets all systems watch a run, the trace of which is read once. Safe for use by threads. */
  Verdict watch(Trace trace) throws IOException {
    Map<Watcher, List<Watcher.Watch>> watches = new LinkedHashMap<>();
    for (Watcher system : systems) {
      watches.put(system, Arrays.stream(factors(system)).mapToObj(system::watch).toList());
    }
    List<Watcher.Watch> all = watches.values().stream().flatMap(List::stream).toList();
    trace.read(
        new Trace.Reader() {
          @Override
          public void manifest(Manifest manifest) {
            all.forEach(watch -> watch.manifest(manifest));
          }

          @Override
          public void step(long at, Step step) {
            all.forEach(watch -> watch.step(at, step));
          }
        });
    Map<Watcher, List<RunScore>> scores = new LinkedHashMap<>();
    watches.forEach(
        (system, its) ->
            scores.put(
                system,
                its.stream()
                    .map(watch -> RunScore.of(trace.about(), watch.alarms(), system.classifies()))
                    .toList()));
    return new Verdict(scores);
  }

  /**
   * Adds what became of a run.
   *
   * @param forTuning whether systems are tuned by it, not judged
   */
  void add(Verdict verdict, boolean forTuning) {
    verdict
        .scores()
        .forEach(
            (system, scores) -> {
              for (int factor = 0; factor < scores.size(); factor++) {
                (forTuning ? tuned : evaluated).get(system).get(factor).add(scores.get(factor));
              }
            });
  }

  /**
   * How a system did with one sensitivity.
   *
   * @param tuning {@code default} or {@code tuned}
   * @param factor on its main threshold
   */
  record Row(String name, String tuning, double factor, Score score) {}

  /** A default row of each system, and a tuned one if there were runs to tune by. */
  List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    for (Watcher system : systems) {
      rows.add(row(system, "default", standard(system)));
      if (isTuned()) {
        rows.add(row(system, "tuned", choose(system, scores(system, tuned))));
      }
    }
    return rows;
  }

  /** Whether there were runs to tune by. */
  boolean isTuned() {
    return sweeps && !tuned.get(systems.get(0)).get(0).isEmpty();
  }

  private Row row(Watcher system, String tuning, int factor) {
    Score score = scores(system, evaluated).get(factor);
    return new Row(system.name(), tuning, factors(system)[factor], score);
  }

  private int standard(Watcher system) {
    double[] factors = factors(system);
    return IntStream.range(0, factors.length)
        .filter(i -> factors[i] == system.standard())
        .findFirst()
        .orElseThrow();
  }

  private static List<Score> scores(Watcher system, Map<Watcher, List<List<RunScore>>> of) {
    return of.get(system).stream().map(runs -> new Score(runs, system.classifies())).toList();
  }

  /** The sensitivity to tune to; of equal ones that nearest to the default. */
  private int choose(Watcher system, List<Score> scores) {
    double[] factors = factors(system);
    List<Score> classless = scores.stream().map(Score::classless).toList();
    List<Integer> byDistance =
        IntStream.range(0, factors.length)
            .boxed()
            .sorted(
                Comparator.comparingDouble(i -> Math.abs(Math.log(factors[i] / system.standard()))))
            .toList();
    List<Integer> quiet =
        byDistance.stream().filter(i -> classless.get(i).falseAlertRate() <= FALSE_ALERTS).toList();
    return quiet.isEmpty()
        ? first(byDistance, i -> classless.get(i).f1())
        : first(quiet, i -> classless.get(i).recall());
  }

  private static int first(List<Integer> candidates, ToDoubleFunction<Integer> merit) {
    int best = candidates.get(0);
    for (int candidate : candidates) {
      best = merit.applyAsDouble(candidate) > merit.applyAsDouble(best) ? candidate : best;
    }
    return best;
  }

  /** A system's sensitivities on the runs it is judged by, least sensitive first. */
  List<Row> sweep(String name) {
    Watcher system = named(name);
    return IntStream.range(0, factors(system).length).mapToObj(i -> row(system, "", i)).toList();
  }

  private Watcher named(String name) {
    return systems.stream().filter(each -> each.name().equals(name)).findFirst().orElseThrow();
  }

  /**
   * The first system at the false alarms of another.
   *
   * @param factor of the first system's sensitivity with the highest recall among those with no
   *     more false alerts; NaN if it has none
   * @param recall, classlessRecall of the first system; NaN likewise
   */
  record Match(Row other, double factor, double recall, double classlessRecall) {}

  /** The first system at the false alarms of each row of the others. */
  List<Match> matches() {
    List<Row> sweep = sweep(systems.get(0).name());
    return rows().stream()
        .filter(row -> !row.name().equals(systems.get(0).name()))
        .map(row -> match(row, sweep))
        .toList();
  }

  private static Match match(Row other, List<Row> sweep) {
    double allowed = other.score().falseAlertRate();
    Row best = null;
    for (Row row : sweep) {
      boolean quiet = row.score().falseAlertRate() <= allowed;
      if (quiet && (best == null || row.score().recall() > best.score().recall())) {
        best = row;
      }
    }
    return best == null
        ? new Match(other, Double.NaN, Double.NaN, Double.NaN)
        : new Match(other, best.factor(), best.score().recall(), best.score().classless().recall());
  }

  /**
   * What a system's tuning is worth for faults that it has not seen.
   *
   * @param recall of each family by the system tuned without it, the mean over the families
   * @param classlessRecall the same, any alarm counting
   */
  record LeftOut(double recall, double classlessRecall) {}

  /**
   * Each system tuned without a family, and judged by that family alone, by system. Empty without
   * tuning.
   */
  Map<String, LeftOut> leaveOneOut() {
    Map<String, LeftOut> leftOut = new LinkedHashMap<>();
    if (!isTuned()) {
      return leftOut;
    }
    for (Watcher system : systems) {
      List<Score> tuning = scores(system, tuned);
      List<Score> judged = scores(system, evaluated);
      List<Score> families = new ArrayList<>();
      for (String family : judged.get(0).byFamily().keySet()) {
        int factor =
            choose(
                system,
                tuning.stream()
                    .map(score -> score.of(run -> !run.family().equals(family)))
                    .toList());
        families.add(judged.get(factor).byFamily().get(family));
      }
      leftOut.put(
          system.name(),
          new LeftOut(mean(families), mean(families.stream().map(Score::classless).toList())));
    }
    return leftOut;
  }

  private static double mean(List<Score> scores) {
    return scores.stream()
        .mapToDouble(Score::recall)
        .filter(recall -> !Double.isNaN(recall))
        .average()
        .orElse(Double.NaN);
  }

  /** Whether all sensitivities were tried. */
  boolean sweeps() {
    return sweeps;
  }

  /** Names of the systems. */
  List<String> names() {
    return systems.stream().map(Watcher::name).collect(Collectors.toList());
  }
}
