package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.RANK_DIVERGENCE;

import io.gradflow.core.norm.Step;
import java.util.Arrays;

/**
 * {@link FindingKind#RANK_DIVERGENCE}: what one rank computes is unlike what the ranks compute that
 * do the same with other data. It needs LOCAL gradients, and at least three ranks of the same
 * coordinates along the dimensions of the mesh that split the model (tensor, pipeline, expert
 * parallel); {@link PairDivergence} tells what can be told of two.
 *
 * <p>x is the log2 of a rank's LOCAL norm over all layers, y its distance from the median over its
 * peers in octaves, s the scatter of y over peers, learnt over about 50 steps. Of single layers the
 * same is known of the ranks farthest out ({@link LayerOutliers}).
 *
 * <ul>
 *   <li><b>Far out:</b> {@code y > rise} and {@code y / s > z}, of the whole or of a layer, twice
 *       within {@code within} steps, or once by {@code atOnce} octaves. A batch that is odd once is
 *       no fault.
 *   <li><b>Off on average:</b> the mean of y over about 20 steps exceeds {@code average} octaves
 *       and {@code averageZ} times what it should scatter, either way. A value counts with at most
 *       4 s.
 *   <li><b>Direction:</b> the mean over about 20 steps of the rank's coherence (the cosine with the
 *       mean of the others) is below {@code -coherence} and {@code -coherenceZ} times its scatter;
 *       or it lies so far below the median rank's and has lost more than half of that.
 *   <li><b>All zero</b> for {@code zeroSteps} steps while the peers' median is not.
 * </ul>
 *
 * <p>Ranks with unequal batches differ by nature: what their weights can explain, whether a trainer
 * divides by its own or by the global batch, is taken off y, and the noise of small batches is
 * allowed for. Weights are known where steps say them.
 *
 * <p>{@link Sign} says in which way the rank is off: larger in all layers points at its data, in a
 * few at its hardware, a mirrored direction at its hardware, another one at its data.
 *
 * <p>Cannot see: a fault that more than a quarter of the peers share, which is a difference of
 * their data as a rule; corruption of a few percent; the largest elements of a rank, of which steps
 * say nothing; anything of a step that is skipped or not finite.
 */
public final class RankDivergenceDetector {
  private RankDivergenceDetector() {}

  static final int MIN_PEERS = 3;
  private static final int MANY_PEERS = 8;
  private static final double BEYOND_FEW = 3;
  private static final double GAIN = 0.05;
  private static final double QUICK_GAIN = 0.3;
  private static final double SCATTER_GAIN = 0.02;

  /** Variance of such a mean, of independent values of variance 1. */
  private static final double MEAN_VARIANCE = GAIN / (2 - GAIN);

  private static final double QUANTUM = 1e-6;
  private static final double LN2 = StrictMath.log(2);

  /**
   * Thresholds.
   *
   * @param z times the scatter over peers
   * @param rise octaves above the peers
   * @param within steps in which it must happen twice
   * @param atOnce octaves of which once is enough
   * @param averageZ times the scatter of the mean
   * @param average octaves of the mean
   * @param coherenceZ times the scatter of the mean coherence
   * @param coherence cosine that the mean must differ by
   * @param zeroSteps steps in a row with a gradient of exactly zero
   * @param lossZ deviations of a rank's mean loss above its peers' ({@link RankLossDetector})
   * @param loss share of the peers' loss that it must be above
   */
  public record Settings(
      double z,
      double rise,
      int within,
      double atOnce,
      double averageZ,
      double average,
      double coherenceZ,
      double coherence,
      int zeroSteps,
      double lossZ,
      double loss) {
    static final Settings DEFAULT = new Settings(8, 2, 20, 8, 6.5, 0.25, 6, 0.05, 2, 5.5, 0.03);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(RANK_DIVERGENCE, "z", z, 1, 1_000);
      Thresholds.require(RANK_DIVERGENCE, "rise", rise, 0.01, 100);
      Thresholds.require(RANK_DIVERGENCE, "within", within, 1, 10_000);
      Thresholds.require(RANK_DIVERGENCE, "atOnce", atOnce, 0.01, 1_000);
      Thresholds.require(RANK_DIVERGENCE, "averageZ", averageZ, 1, 1_000);
      Thresholds.require(RANK_DIVERGENCE, "average", average, 0.01, 100);
      Thresholds.require(RANK_DIVERGENCE, "coherenceZ", coherenceZ, 1, 1_000);
      Thresholds.require(RANK_DIVERGENCE, "coherence", coherence, 0.001, 1);
      Thresholds.require(RANK_DIVERGENCE, "zeroSteps", zeroSteps, 1, 10_000);
      Thresholds.require(RANK_DIVERGENCE, "lossZ", lossZ, 1, 1_000);
      Thresholds.require(RANK_DIVERGENCE, "loss", loss, 0.001, 10);
    }
  }

  /**
   * State of a lane: columns by rank, but for the layers' scatter.
   *
   * @param compared steps in which ranks were compared
   * @param scatter of y over peers, octaves
   * @param coherent steps in which ranks had a coherence
   * @param coherenceScatter over ranks
   * @param layers what is usual in single layers
   * @param values steps of the rank that were compared
   * @param mean of its y
   * @param lately the same over about 3 steps
   * @param directions steps of the rank with a coherence
   * @param coherence mean of it
   * @param coherentLately the same over about 3 steps
   * @param behind mean of what it is below the median rank's
   * @param zeros steps in a row of exactly zero
   * @param lastFar which of the compared steps last found it far out, -1 if none
   * @param since first step of the evidence that lasts, -1 without
   * @param hold quiet steps until it is over
   */
  public record State(
      int compared,
      double scatter,
      int coherent,
      double coherenceScatter,
      LayerOutliers.Usual layers,
      int[] values,
      float[] mean,
      float[] lately,
      int[] directions,
      float[] coherence,
      float[] coherentLately,
      float[] behind,
      int[] zeros,
      int[] lastFar,
      long[] since,
      int[] hold) {

    static State of(int layers) {
      return new State(
          0,
          0,
          0,
          0,
          LayerOutliers.Usual.of(layers),
          new int[0],
          new float[0],
          new float[0],
          new int[0],
          new float[0],
          new float[0],
          new float[0],
          new int[0],
          new int[0],
          new long[0],
          new int[0]);
    }

    /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
    State moved(int[] from) {
      return new State(
          compared,
          scatter,
          coherent,
          coherenceScatter,
          layers,
          RankTrends.moved(values, from, 0),
          RankTrends.moved(mean, from),
          RankTrends.moved(lately, from),
          RankTrends.moved(directions, from, 0),
          RankTrends.moved(coherence, from),
          RankTrends.moved(coherentLately, from),
          RankTrends.moved(behind, from),
          RankTrends.moved(zeros, from, 0),
          RankTrends.moved(lastFar, from, -1),
          RankTrends.moved(since, from, -1),
          RankTrends.moved(hold, from, 0));
    }

    private State learnt(double newScatter, double newCoherenceScatter) {
      boolean directed = !Double.isNaN(newCoherenceScatter);
      return new State(
          compared + 1,
          learn(scatter, newScatter, compared + 1),
          directed ? coherent + 1 : coherent,
          directed ? learn(coherenceScatter, newCoherenceScatter, coherent + 1) : coherenceScatter,
          layers,
          values,
          mean,
          lately,
          directions,
          coherence,
          coherentLately,
          behind,
          zeros,
          lastFar,
          since,
          hold);
    }

    private static double learn(double usual, double now, int count) {
      return usual + Math.max(SCATTER_GAIN, 1.0 / count) * (now - usual);
    }
  }

  /** Judges a step of the run's own order. */
  static State observe(
      LayerTable table,
      Step step,
      int[] ranks,
      PeerNorms peers,
      State state,
      Settings settings,
      Verdicts out) {
    if (step.scalars().stepSkipped() || NonFiniteDetector.isIn(step) || !peers.anyCompared()) {
      out.activeIfAny(RANK_DIVERGENCE, state.hold());
      return state;
    }
    State after = state.learnt(peers.scatter(), peers.coherenceScatter());
    var layers = LayerOutliers.of(table, step, ranks, after.layers(), settings);
    var judged = new Judged(table, step, ranks, peers, layers, after, settings, out);
    judged.judge();
    out.activeIfAny(RANK_DIVERGENCE, after.hold());
    return after;
  }

  /** log2, quantised: sums differ in their last bits with the order of arrival. */
  static double octaves(double norm) {
    return norm > 0
        ? Math.rint(StrictMath.log(norm) / LN2 / QUANTUM) * QUANTUM
        : Double.NEGATIVE_INFINITY;
  }

  /** In words, of a number of octaves. */
  static String times(double octaves) {
    return Math.abs(octaves) > 20
        ? "2^%d times".formatted(Math.round(octaves))
        : Wording.factor(octaves) + " times";
  }

  /** One step held against its ranks' past; changes the columns of the state. */
  private static final class Judged {
    private final LayerTable table;
    private final Step step;
    private final int[] ranks;
    private final PeerNorms peers;
    private final LayerOutliers layers;
    private final State state;
    private final Settings settings;
    private final Verdicts out;
    private final int warmUp;

    Judged(
        LayerTable table,
        Step step,
        int[] ranks,
        PeerNorms peers,
        LayerOutliers layers,
        State state,
        Settings settings,
        Verdicts out) {
      this.table = table;
      this.step = step;
      this.ranks = ranks;
      this.peers = peers;
      this.layers = layers;
      this.state = state;
      this.settings = settings;
      this.out = out;
      warmUp = out.policy().warmUpSteps();
    }

    void judge() {
      var suspicions = new Suspicion[ranks.length];
      var ranking = new Ranking();
      for (int[] group : peers.groups()) {
        for (int row : group) {
          learn(row);
        }
        double meanApart = apart(group, state.mean(), state.values(), settings.averageZ());
        double behindApart =
            apart(group, state.behind(), state.directions(), settings.coherenceZ());
        double coherence = medianCoherence(group);
        int suspected = 0;
        for (int row : group) {
          suspicions[row] = suspicion(row, meanApart, behindApart, coherence);
          suspected += suspicions[row].leans() ? 1 : 0;
        }
        boolean few = suspected <= most(group.length);
        for (int row : group) {
          boolean fires = suspicions[row].fires() && few;
          boolean lasts = fires || suspicions[row].overHalf();
          out.hold(state.since(), state.hold(), row, step.id().step(), fires, lasts);
          if (fires) {
            ranking.add(row, state.since()[row], suspicions[row].score());
          }
        }
      }
      for (int place = 0; place < ranking.size(); place++) {
        int row = ranking.at(place);
        report(ranks[row], state.since()[row], suspicions[row]);
      }
    }

    private void learn(int row) {
      double y = peers.y()[row];
      if (Double.isInfinite(y)) {
        state.zeros()[row]++;
        return;
      }
      state.zeros()[row] = 0;
      double most = Math.max(4 * state.scatter() * peers.noise()[row], 1);
      double gain = Math.max(GAIN, 1.0 / ++state.values()[row]);
      double believed = Math.max(-most, Math.min(most, y));
      state.mean()[row] += (float) (gain * (believed - state.mean()[row]));
      state.lately()[row] += (float) (QUICK_GAIN * (believed - state.lately()[row]));
      double cosine = peers.coherence()[row];
      if (!Double.isNaN(cosine)) {
        double directionGain = Math.max(GAIN, 1.0 / ++state.directions()[row]);
        state.coherence()[row] += (float) (directionGain * (cosine - state.coherence()[row]));
        state.coherentLately()[row] +=
            (float) (QUICK_GAIN * (cosine - state.coherentLately()[row]));
        state.behind()[row] +=
            (float) (directionGain * (peers.behind()[row] - state.behind()[row]));
      }
    }

    /**
     * How far from the middle of the peers' means one must lie to stand out from them, whatever
     * their data do to them all: {@code z} times their scatter. Fewer than eight have no scatter to
     * speak of; there it is three times the largest of those means that are not suspect by number.
     */
    private double apart(int[] group, float[] means, int[] counts, double z) {
      double[] warm =
          Arrays.stream(group)
              .filter(row -> counts[row] >= warmUp)
              .mapToDouble(row -> means[row])
              .toArray();
      if (warm.length < MIN_PEERS) {
        return Double.POSITIVE_INFINITY;
      }
      if (warm.length >= MANY_PEERS) {
        return z * Robust.scatter(warm);
      }
      double median = Robust.median(warm);
      double[] distances = Arrays.stream(warm).map(mean -> Math.abs(mean - median)).toArray();
      Arrays.sort(distances);
      return BEYOND_FEW * distances[warm.length - 1 - most(warm.length)];
    }

    /** How many of so many peers may be suspected at once. */
    private static int most(int peers) {
      return Math.max(1, peers / 4);
    }

    private double medianCoherence(int[] group) {
      return Robust.median(
          Arrays.stream(group)
              .filter(row -> state.directions()[row] >= warmUp)
              .mapToDouble(row -> state.coherence()[row])
              .toArray());
    }

    private Suspicion suspicion(int row, double meanApart, double behindApart, double coherence) {
      if (Double.isInfinite(peers.y()[row])) {
        int zeros = state.zeros()[row];
        return new Suspicion(
            zeros >= settings.zeroSteps(),
            zeros >= settings.zeroSteps() / 2.0,
            Sign.ALL_ZERO,
            -1,
            zeros,
            settings.zeroSteps(),
            "steps",
            coherence);
      }
      if (state.values()[row] < warmUp || state.compared() < warmUp) {
        return Suspicion.NONE;
      }
      Suspicion far = far(row);
      Suspicion direction = direction(row, behindApart, coherence);
      Suspicion average = average(row, meanApart);
      Suspicion chosen =
          direction.fires()
                  && direction.sign() == Sign.AGAINST_THE_OTHERS
                  && state.mean()[row] < settings.rise() / 2
              ? direction
              : far.fires() ? far : average.fires() ? average : direction;
      boolean leans = chosen.fires() || average.overHalf() || direction.overHalf();
      return chosen.with(far.overHalf() || leans, leans);
    }

    private Suspicion far(int row) {
      double y = peers.y()[row];
      boolean whole =
          y > settings.rise() && y > settings.z() * state.scatter() * peers.noise()[row];
      int layer = layers.farthest(row);
      double most = Math.max(whole ? y : 0, layer < 0 ? 0 : layers.y(row));
      int before = state.lastFar()[row];
      boolean recent = before >= 0 && state.compared() - before <= settings.within();
      if (!whole && layer < 0) {
        return new Suspicion(
            false, recent, Sign.LARGER, -1, most, settings.rise(), "octaves", Double.NaN);
      }
      state.lastFar()[row] = state.compared();
      Sign sign = Sign.LARGER;
      if (layer >= 0 && layers.areFew(row)) {
        sign = Sign.FEW_LAYERS;
      } else if (before != state.compared() - 1 && state.lately()[row] < settings.rise() / 2) {
        sign = Sign.LARGER_AT_TIMES;
      }
      return new Suspicion(
          recent || most > settings.atOnce(),
          true,
          sign,
          sign == Sign.FEW_LAYERS ? layer : -1,
          most,
          settings.rise(),
          "octaves",
          Double.NaN);
    }

    private Suspicion average(int row, double apart) {
      double mean = state.mean()[row];
      double ofMean = scatterOfMean(state.scatter(), state.values()[row]) * peers.noise()[row];
      double threshold =
          Math.max(settings.average(), Math.max(apart, settings.averageZ() * ofMean));
      return new Suspicion(
          Math.abs(mean) > threshold,
          Math.abs(mean) > threshold / 2,
          mean > 0 ? Sign.LARGER : Sign.SMALLER,
          -1,
          mean,
          threshold,
          "octaves",
          Double.NaN);
    }

    private Suspicion direction(int row, double fromPeers, double median) {
      if (state.directions()[row] < warmUp || state.coherent() < warmUp) {
        return Suspicion.NONE;
      }
      double cosine = state.coherence()[row];
      double behind = state.behind()[row];
      double ofMean =
          scatterOfMean(state.coherenceScatter(), state.directions()[row]) * peers.noise()[row];
      double least = Math.max(settings.coherence(), settings.coherenceZ() * ofMean);
      double apart = Math.max(least, fromPeers);
      boolean isBehind = behind > apart;
      boolean against = isBehind && cosine < -least;
      boolean lost = isBehind && cosine < median / 2;
      // What it was before the fault still weighs in the mean when it fires.
      double lately = state.coherentLately()[row];
      double alike = Math.max(settings.average(), state.scatter() * peers.noise()[row]);
      boolean mirrored =
          isBehind
              && lately < -settings.coherence()
              && lately < -Math.abs(median) / 2
              && state.lately()[row] < alike;
      return new Suspicion(
          against || lost,
          behind > apart / 2 && (cosine < -least / 2 || cosine < 0.75 * median),
          mirrored ? Sign.AGAINST_THE_OTHERS : Sign.APART_FROM_THE_OTHERS,
          -1,
          behind,
          apart,
          "cosine",
          median);
    }

    private static double scatterOfMean(double scatter, int values) {
      return scatter * Math.sqrt(Math.max(MEAN_VARIANCE, 1.0 / values));
    }

    private void report(int rank, long since, Suspicion suspicion) {
      out.rank(
          RANK_DIVERGENCE,
          Severity.WARNING,
          suspicion.layer() < 0 ? null : table.name(suspicion.layer()),
          rank,
          since,
          suspicion.score(),
          suspicion.observed(),
          suspicion.threshold(),
          suspicion.unit(),
          message(rank, since, suspicion),
          suspicion.sign());
    }

    private String message(int rank, long since, Suspicion suspicion) {
      String who = "rank %d of %d".formatted(rank, step.worldSize());
      double observed = suspicion.observed();
      return switch (suspicion.sign()) {
        case LARGER ->
            "The gradient that %s computes is %s that of its peers since step %d: look at the data it is fed."
                .formatted(who, times(observed), since);
        case SMALLER ->
            "The gradient that %s computes is %s that of its peers since step %d: look at the data it is fed."
                .formatted(who, times(observed), since);
        case LARGER_AT_TIMES ->
            "The gradient that %s computes was %s that of its peers at step %d, and not in the step before: look at its hardware."
                .formatted(who, times(observed), step.id().step());
        case FEW_LAYERS ->
            "The gradient of %s that %s computes was %s that of its peers at step %d while most of its layers are as theirs: look at its hardware."
                .formatted(table.label(suspicion.layer()), who, times(observed), step.id().step());
        case ALL_ZERO ->
            "The gradient that %s computes is exactly zero since step %d: it takes no part in the training."
                .formatted(who, since);
        case AGAINST_THE_OTHERS ->
            "The gradient that %s computes points against that of its peers since about step %d, with a cosine %s below the %s of theirs: look for a flipped sign."
                .formatted(
                    who, since, Wording.number(observed), Wording.number(suspicion.median()));
        default ->
            "The gradient that %s computes has less to do with that of its peers since about step %d, with a cosine %s below the %s of theirs: look at its data, labels first."
                .formatted(
                    who, since, Wording.number(observed), Wording.number(suspicion.median()));
      };
    }
  }

  /**
   * What is held against a rank.
   *
   * @param leans whether its means say so, as far as half the threshold, or it fires: differences
   *     of many ranks come up one after the other
   * @param layer -1 when none is named
   * @param median coherence of the peers
   */
  private record Suspicion(
      boolean fires,
      boolean overHalf,
      boolean leans,
      Sign sign,
      int layer,
      double observed,
      double threshold,
      String unit,
      double median) {
    static final Suspicion NONE =
        new Suspicion(false, false, Sign.LARGER, -1, 0, 1, "octaves", Double.NaN);

    Suspicion(
        boolean fires,
        boolean overHalf,
        Sign sign,
        int layer,
        double observed,
        double threshold,
        String unit,
        double median) {
      this(fires, overHalf, fires, sign, layer, observed, threshold, unit, median);
    }

    double score() {
      return Math.abs(observed) / threshold;
    }

    Suspicion with(boolean isOverHalf, boolean isLeaning) {
      return new Suspicion(
          fires, isOverHalf, isLeaning, sign, layer, observed, threshold, unit, median);
    }
  }
}
