package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.RANK_DIVERGENCE;

import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * {@link FindingKind#RANK_DIVERGENCE}: a rank that is fed wrong data shows in the loss of its own
 * batches, also where its gradient is lost in the noise of small ones. It needs the losses of
 * single ranks, and at least two ranks of the same coordinates along the dimensions of the mesh
 * that split the model (tensor, pipeline, expert parallel).
 *
 * <p>z says by how many deviations a rank's loss has risen against the median of its peers', over
 * about 40 steps and against what it is above them by nature ({@link RankExcess}). It fires when
 * {@code z > lossZ} and the rise is more than {@code loss} of the peers' loss, upwards only.
 *
 * <p>Of three peers or more the cosine of a rank's LOCAL gradient with the mean of the others is
 * measured in the same way, downwards, and bears witness: {@code (z + z of the cosine) / √2 >
 * lossZ} is enough if z itself is a third of that. Source: Stouffer et al., The American Soldier
 * (1949).
 *
 * <p>At most a quarter of the peers may be suspect, by a third of {@code lossZ}, and one must stand
 * out from the others' z: twice as far as any of fewer than eight, {@code lossZ} times 0.7 of the
 * scatter among more. Of two the one above is named if its loss has risen by more than the other's
 * has fallen, else neither; while the norms of their gradients lie apart, {@link PairDivergence}
 * has the word.
 *
 * <p>Cannot see: ranks that send one reduced loss; a rank that is as far above from its first step
 * on as it stays, which is one whose data are harder by nature; wrong data that cost no more than
 * right ones because nothing is learnt yet; what stays within the noise of the batches: a rise of
 * one deviation of d is found within some 60 steps, of half a one as a rule in none. A rank whose
 * data become of a harder kind for good is reported.
 */
public final class RankLossDetector {
  private static final int MANY_PEERS = 8;
  private static final double BEYOND_FEW = 2;
  private static final double OF_SCATTER = 0.7;
  private static final double LEVEL_GAIN = 0.05;
  private static final double BEFORE_GAIN = 0.025;

  /** As long as a rank may be suspect its past stands still, but without a finding not for ever. */
  private static final int PATIENCE = 100;

  private static final double UNEQUAL = 1.2;

  private RankLossDetector() {}

  /**
   * State of a lane: columns by rank, changed in place.
   *
   * @param loss how far it is above the peers'
   * @param direction how far the cosine is below the peers'
   * @param level mean of the peers' median loss over about 20 steps
   * @param before the same over about 40, standing still while the rank may be suspect
   * @param leaning steps in a row in which it may be suspect
   * @param since first step of the evidence that lasts, -1 without
   * @param hold quiet steps until it is over
   */
  public record State(
      RankExcess loss,
      RankExcess direction,
      float[] level,
      float[] before,
      int[] leaning,
      long[] since,
      int[] hold) {
    static State of(int ranks) {
      long[] nothing = new long[ranks];
      Arrays.fill(nothing, -1);
      return new State(
          RankExcess.of(ranks),
          RankExcess.of(ranks),
          new float[ranks],
          new float[ranks],
          new int[ranks],
          nothing,
          new int[ranks]);
    }

    /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
    State moved(int[] from) {
      return new State(
          loss.moved(from),
          direction.moved(from),
          RankTrends.moved(level, from),
          RankTrends.moved(before, from),
          RankTrends.moved(leaning, from, 0),
          RankTrends.moved(since, from, -1),
          RankTrends.moved(hold, from, 0));
    }
  }

  /**
   * Judges a step of the run's own order.
   *
   * @param pairs what is known after the step of ranks that have but one peer; null without
   * @param state null as long as ranks said no loss of their own
   */
  static State observe(
      LayerTable table,
      Step step,
      int[] ranks,
      PeerNorms peers,
      PairDivergence.State pairs,
      State state,
      RankDivergenceDetector.Settings settings,
      Verdicts out) {
    RankComparison comparison = step.evidence() == null ? null : step.evidence().comparison();
    boolean says = comparison != null && comparison.loss() != null;
    if (step.scalars().stepSkipped() || NonFiniteDetector.isIn(step) || !says) {
      if (state != null) {
        out.activeIfAny(RANK_DIVERGENCE, state.hold());
      }
      return state;
    }
    State after = state == null ? State.of(ranks.length) : state;
    new Judged(table, step, ranks, peers, pairs, after, settings, out).judge();
    out.activeIfAny(RANK_DIVERGENCE, after.hold());
    return after;
  }

  /** One step held against its ranks' past; changes the columns of the state. */
  private static final class Judged {
    private final LayerTable table;
    private final Step step;
    private final int[] ranks;
    private final PeerNorms peers;
    private final PairDivergence.State pairs;
    private final State state;
    private final RankDivergenceDetector.Settings settings;
    private final Verdicts out;
    private final int warmUp;
    private final double[] loss;
    private final double[] weight;
    private final boolean[] stands;
    private final double[] rise;
    private final double[] share;

    /** Of a pair; -1 of a rank with more peers. */
    private final int[] other;

    Judged(
        LayerTable table,
        Step step,
        int[] ranks,
        PeerNorms peers,
        PairDivergence.State pairs,
        State state,
        RankDivergenceDetector.Settings settings,
        Verdicts out) {
      this.table = table;
      this.step = step;
      this.ranks = ranks;
      this.peers = peers;
      this.pairs = pairs;
      this.state = state;
      this.settings = settings;
      this.out = out;
      warmUp = out.policy().warmUpSteps();
      loss = byRow(step.evidence().comparison().loss());
      weight = byRow(step.evidence().comparison().weight());
      stands = new boolean[ranks.length];
      rise = new double[ranks.length];
      share = new double[ranks.length];
      other = new int[ranks.length];
    }

    /** Aligned with the ranks; NaN of what is unknown, and of a rank of which not all came. */
    private double[] byRow(double[] column) {
      double[] values = new double[ranks.length];
      Arrays.fill(values, Double.NaN);
      RankEvidence evidence = step.evidence();
      for (int i = 0; column != null && i < column.length; i++) {
        int rank = evidence.ranks()[i];
        if (Double.isFinite(column[i]) && Arrays.binarySearch(step.missingRanks(), rank) < 0) {
          values[Arrays.binarySearch(ranks, rank)] = column[i];
        }
      }
      return values;
    }

    void judge() {
      Map<Integer, List<Integer>> groups = new TreeMap<>();
      for (int row = 0; row < ranks.length; row++) {
        if (!Double.isNaN(loss[row])) {
          groups.computeIfAbsent(table.peersOf(ranks[row]), key -> new ArrayList<>()).add(row);
        }
      }
      var ranking = new Ranking();
      for (List<Integer> group : groups.values()) {
        if (group.size() > 1) {
          int[] rows = group.stream().mapToInt(Integer::intValue).toArray();
          judge(rows, learn(rows), ranking);
        }
      }
      for (int place = 0; place < ranking.size(); place++) {
        report(ranking.at(place), ranking.score(place));
      }
    }

    /** Learns the losses and directions of peers; the z of both together. */
    private double[] learn(int[] rows) {
      for (int row : rows) {
        int leaning = state.leaning()[row];
        boolean isKnown = state.loss().values()[row] >= 2 * warmUp;
        stands[row] = state.hold()[row] > 0 || (isKnown && leaning > 0 && leaning <= PATIENCE);
      }
      double[] medians = state.loss().learn(rows, loss, 1, stands, warmUp);
      double[] rises = state.loss().rises(rows);
      for (int k = 0; k < rows.length; k++) {
        int row = rows[k];
        double least = 1.0 / state.loss().values()[row];
        state.level()[row] +=
            (float) (Math.max(LEVEL_GAIN, least) * (medians[k] - state.level()[row]));
        if (!stands[row]) {
          state.before()[row] +=
              (float) (Math.max(BEFORE_GAIN, least) * (medians[k] - state.before()[row]));
        }
        rise[row] = rises[k];
        double level = Math.abs(state.level()[row]);
        share[row] = level > 0 ? rise[row] / level : 0;
        other[row] = rows.length == 2 ? rows[1 - k] : -1;
      }
      return together(rows);
    }

    private double[] together(int[] rows) {
      double[] z = state.loss().z(rows, warmUp);
      int[] directed =
          IntStream.of(rows).filter(row -> !Double.isNaN(peers.coherence()[row])).toArray();
      if (directed.length < RankDivergenceDetector.MIN_PEERS) {
        return z;
      }
      state.direction().learn(directed, peers.coherence(), -1, stands, warmUp);
      double[] ofDirection = state.direction().z(directed, warmUp);
      for (int k = 0; k < rows.length; k++) {
        int at = Arrays.binarySearch(directed, rows[k]);
        if (at >= 0 && z[k] > settings.lossZ() / 3) {
          z[k] = Math.max(z[k], (z[k] + ofDirection[at]) / Math.sqrt(2));
        }
      }
      return z;
    }

    private void judge(int[] rows, double[] z, Ranking ranking) {
      int most = Math.max(1, rows.length / 4);
      long suspected = Arrays.stream(z).filter(each -> each > settings.lossZ() / 3).count();
      double threshold = Math.max(settings.lossZ(), apart(z, most));
      for (int k = 0; k < rows.length; k++) {
        int row = rows[k];
        boolean lasts = z[k] > settings.lossZ() / 2 && share[row] > settings.loss() / 2;
        boolean fires =
            z[k] > threshold
                && share[row] > settings.loss()
                && suspected <= most
                && !normsLieApart(row);
        state.leaning()[row] = z[k] > settings.lossZ() / 4 ? state.leaning()[row] + 1 : 0;
        out.hold(state.since(), state.hold(), row, step.id().step(), fires, lasts);
        if (fires) {
          ranking.add(row, state.since()[row], z[k] / threshold);
        }
      }
    }

    /** What a rank's z must exceed to stand out from its peers'. */
    private double apart(double[] z, int most) {
      if (z.length >= MANY_PEERS) {
        return settings.lossZ() * OF_SCATTER * Robust.scatter(z);
      }
      double[] sorted = z.clone();
      Arrays.sort(sorted);
      return BEYOND_FEW * sorted[z.length - 1 - most];
    }

    private boolean normsLieApart(int row) {
      return pairs != null
          && other[row] >= 0
          && (pairs.since()[row] >= 0 || pairs.since()[other[row]] >= 0);
    }

    private void report(int row, double score) {
      boolean isKnown = other[row] < 0 || hasMoved(row, other[row]);
      out.rank(
          RANK_DIVERGENCE,
          Severity.WARNING,
          null,
          isKnown ? ranks[row] : null,
          state.since()[row],
          score,
          share[row],
          share[row] / score,
          "of the others' loss",
          message(row, isKnown),
          Sign.LOSS_ABOVE_THE_OTHERS);
    }

    /** Whether it is the loss of one of a pair that has changed, rather than the other's. */
    private boolean hasMoved(int one, int two) {
      // The median of the peers is what the other's loss is.
      double rose = state.level()[two] - state.before()[two];
      double fell = state.before()[one] - state.level()[one];
      return rose > fell;
    }

    private String message(int row, boolean isKnown) {
      return "The loss of rank %d of %d has risen by %s (%s %%) against that of %s since about step %d%s: look at the data %s fed, labels first."
          .formatted(
              ranks[row],
              step.worldSize(),
              Wording.number(rise[row]),
              Wording.number(100 * share[row]),
              other[row] < 0 ? "its peers" : "rank " + ranks[other[row]],
              state.since()[row],
              unequal(row),
              isKnown ? "it is" : "both are");
    }

    /** What its batches weigh, where that is another thing than what most others' do. */
    private String unequal(int row) {
      double[] known = Arrays.stream(weight).filter(value -> value > 0).toArray();
      double times = weight[row] / Robust.median(known);
      return times > UNEQUAL || times < 1 / UNEQUAL
          ? ", in batches of %s times the weight".formatted(Wording.number(times))
          : "";
    }
  }
}
