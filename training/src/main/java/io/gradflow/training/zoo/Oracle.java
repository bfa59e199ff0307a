package io.gradflow.training.zoo;

import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Runs a trial beside its healthy twin and says whether its fault did harm: only then its episodes
 * count. Judges by what was learnt, never by gradients: these are what detectors see.
 *
 * <p>An episode counts when, from its onset to the next one's or the end, one of these holds.
 *
 * <ul>
 *   <li>A held-out loss, or a weight, is not finite.
 *   <li>The held-out loss is worse than the twin's by a tenth of what the twin learns in all, more
 *       than it was before the onset: over four checks in a row, so that the noise of a single one
 *       counts for little. Held-out samples are the same for both, and most of their noise cancels.
 *       A twin whose loss falls by less than a tenth (of a GAN it need not) gives no such scale.
 *   <li>The held-out loss is not better on average, and the weights are further from the twin's
 *       than half the way that the twin has come, more than they were before the onset: in all, or
 *       in the layers to be named. Two healthy trainings that differ by rounding stay well below
 *       that ({@code OracleTest}).
 * </ul>
 *
 * <p>What does not arrive harms no training; episodes of delivery count always, and so do those
 * that norms cannot show, which are counted apart.
 */
public final class Oracle {

  /** Sees nothing. */
  public static final ZooObserver NOBODY =
      new ZooObserver() {
        @Override
        public void step(ZooStep step) {}

        @Override
        public void event(
            int attempt,
            int stream,
            long step,
            RunEvent.Type type,
            Map<String, String> attributes) {}
      };

  static final double HARMFUL_LOSS = .1;
  static final double HARMFUL_DISTANCE = .5;
  static final double LEARNT = .1;
  private static final int CHECKS = 4;
  private static final int LEAST_STEPS = 5;
  private static final int MOST_CHECKS = 120;

  /** Faults that set weights: how far these are from the twin's says nothing about harm. */
  private static final Set<ZooFault.Kind> REWRITING =
      Set.of(
          ZooFault.Kind.WEIGHTS_ONCE,
          ZooFault.Kind.WEIGHTS_GROW,
          ZooFault.Kind.BIAS,
          ZooFault.Kind.ROUTER);

  private final ZooTraining training;
  private final ZooTraining twin;
  private final Truth truth;
  private final List<Check> checks = new ArrayList<>();
  private final double initialLoss;
  private final boolean comparable;
  private final Set<Integer> rewritten;
  private final long every;

  private Oracle(Trial trial) {
    training = trial.training();
    twin = trial.twin();
    truth = trial.truth();
    rewritten =
        trial.faults().stream()
            .filter(f -> REWRITING.contains(f.kind()))
            .map(ZooFault::parameter)
            .collect(Collectors.toSet());
    initialLoss = twin == null ? 0 : twin.heldOutLoss();
    comparable = twin != null && distance(training.weights(), twin.weights(), List.of()) == 0;
    every = Math.max(LEAST_STEPS, training.options().steps() / MOST_CHECKS);
  }

  /**
   * Runs a trial, and its twin where it has one, step by step.
   *
   * @param faulty sees the trial's training
   * @param healthy sees the twin
   * @return the trial's truth, its episodes excluded or not
   */
  public static Truth run(Trial trial, ZooObserver faulty, ZooObserver healthy) {
    return new Oracle(trial).run(faulty, healthy, true);
  }

  /** As {@link #run} with nobody who sees, but no longer than it takes to know. */
  static Truth judge(Trial trial) {
    return new Oracle(trial).run(NOBODY, NOBODY, false);
  }

  private Truth run(ZooObserver faulty, ZooObserver healthy, boolean whole) {
    boolean always =
        truth.expectedMiss()
            || truth.episodes().stream().allMatch(e -> e.cause() == Truth.Cause.DELIVERY);
    boolean more = true;
    while (more && (whole || !(always || ruined()))) {
      more = training.advance(faulty);
      if (twin != null) {
        twin.advance(healthy);
        if (!always && (training.nextStep() % every == 0 || !more)) {
          checks.add(check());
        }
      }
    }
    return new Truth(truth.episodes(), always ? null : excluded(), truth.expectedMiss());
  }

  /** Whether the only episode has ruined the training. */
  private boolean ruined() {
    return truth.episodes().size() == 1
        && !checks.isEmpty()
        && checks.get(checks.size() - 1).step > truth.episodes().get(0).onset()
        && !checks.get(checks.size() - 1).finite;
  }

  private Check check() {
    double loss = training.heldOutLoss();
    double healthy = twin.heldOutLoss();
    boolean finite = Double.isFinite(loss);
    for (float[] tensor : training.weights()) {
      float poison = 0;
      for (float w : tensor) {
        poison += w * 0;
      }
      finite &= poison == 0;
    }
    double[] distances = new double[1 + truth.episodes().size()];
    if (finite && comparable) {
      distances[0] = relativeDistance(List.of());
      for (int i = 0; i < truth.episodes().size(); i++) {
        List<String> layers = truth.episodes().get(i).layers();
        distances[1 + i] = layers.isEmpty() ? 0 : relativeDistance(layers);
      }
    }
    return new Check(training.nextStep(), finite, loss - healthy, healthy, distances);
  }

  private double relativeDistance(List<String> layers) {
    double way = distance(twin.weights(), twin.initialWeights(), layers);
    double apart = distance(training.weights(), twin.weights(), layers);
    return way == 0 ? 0 : apart / way;
  }

  private double distance(float[][] a, float[][] b, List<String> layers) {
    if (a.length != b.length) {
      return Double.POSITIVE_INFINITY;
    }
    double squares = 0;
    for (int p = 0; p < a.length; p++) {
      if (rewritten.contains(p)
          || (!layers.isEmpty() && !layers.contains(training.parameters().get(p).name()))) {
        continue;
      }
      if (a[p].length != b[p].length) {
        return Double.POSITIVE_INFINITY;
      }
      for (int e = 0; e < a[p].length; e++) {
        double d = (double) a[p][e] - b[p][e];
        squares += d * d;
      }
    }
    return Math.sqrt(squares);
  }

  private String excluded() {
    double lowest = checks.stream().mapToDouble(Check::healthy).min().orElse(initialLoss);
    double learnt = initialLoss - lowest;
    boolean learns = learnt > LEARNT * Math.abs(initialLoss);
    if (checks.stream().anyMatch(c -> !Double.isFinite(c.healthy))) {
      return "its twin is ruined, too";
    }
    for (int i = 0; i < truth.episodes().size(); i++) {
      long from = truth.episodes().get(i).onset();
      long to =
          i + 1 < truth.episodes().size() ? truth.episodes().get(i + 1).onset() : Long.MAX_VALUE;
      List<Check> before = checks.stream().filter(c -> c.step <= from).toList();
      List<Check> after = checks.stream().filter(c -> c.step > from && c.step <= to).toList();
      if (before.stream().anyMatch(c -> !c.finite)) {
        return "the training was ruined before";
      }
      if (after.stream().anyMatch(c -> !c.finite)) {
        continue;
      }
      double excess = learns ? (worst(after) - worst(last(before))) / learnt : 0;
      double apart = furthest(after, i) - furthest(last(before), i);
      // Elsewhere, but better off, is no harm.
      boolean better = after.stream().mapToDouble(Check::excess).average().orElse(0) < 0;
      if (excess <= HARMFUL_LOSS && (apart <= HARMFUL_DISTANCE || (learns && better))) {
        return String.format(
            Locale.ROOT,
            "from step %d on it is hardly worse than its healthy twin: loss by %.3f of what was learnt,"
                + " weights by %.3f of the way",
            from,
            excess,
            apart);
      }
    }
    return null;
  }

  private static List<Check> last(List<Check> checks) {
    return checks.subList(Math.max(0, checks.size() - CHECKS), checks.size());
  }

  /** The largest mean excess of {@code CHECKS} in a row, or of all, if they are fewer. */
  private static double worst(List<Check> checks) {
    double worst = checks.isEmpty() ? 0 : Double.NEGATIVE_INFINITY;
    for (int from = 0; from <= Math.max(0, checks.size() - CHECKS); from++) {
      double mean =
          checks.subList(from, Math.min(checks.size(), from + CHECKS)).stream()
              .mapToDouble(Check::excess)
              .average()
              .orElse(0);
      worst = Math.max(worst, mean);
    }
    return worst;
  }

  private static double furthest(List<Check> checks, int episode) {
    return checks.stream()
        .mapToDouble(c -> Math.max(c.distances[0], c.distances[1 + episode]))
        .max()
        .orElse(0);
  }

  /**
   * One comparison.
   *
   * @param step the steps done
   * @param excess held-out loss over the twin's
   * @param healthy the twin's
   * @param distances over the twin's way: of all weights, then of each episode's layers
   */
  private record Check(
      long step, boolean finite, double excess, double healthy, double[] distances) {}
}
