package io.gradflow.core.detect;

import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.Step;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * What detectors remember of the single ranks of a lane: about 110 bytes each, 150 of pairs, and 70
 * more of ranks that say their own loss. Columns are changed in place.
 *
 * @param ranks all that have ever reported, ascending: columns of ranks are aligned with them
 * @param places where they ran when they last said so; null if none ever did
 * @param pairs of ranks that have but one peer; null as long as there were none, and in what
 *     release 0.1 left behind
 * @param losses of single ranks; null as long as none said its own, and likewise
 * @param turned null as long as no three ranks had a direction, and likewise
 */
public record RankTrends(
    int[] ranks,
    RankPlaces places,
    RankDivergenceDetector.State divergence,
    ReplicaMismatchDetector.State mismatch,
    StragglerDetector.State straggler,
    PairDivergence.State pairs,
    RankLossDetector.State losses,
    RankTurnDetector.State turned) {

  static RankTrends of(int layers) {
    return new RankTrends(
        new int[0],
        null,
        RankDivergenceDetector.State.of(layers),
        ReplicaMismatchDetector.State.FRESH,
        StragglerDetector.State.FRESH,
        null,
        null,
        null);
  }

  /** With rows for the ranks of a step, and with what these say of where they run. */
  RankTrends with(RankEvidence evidence) {
    if (evidence == null) {
      return this;
    }
    int[] reporting = evidence.ranks();
    RankTrends grown = Arrays.equals(ranks, reporting) ? this : grown(reporting);
    return new RankTrends(
        grown.ranks,
        grown.placed(evidence),
        grown.divergence,
        grown.mismatch,
        grown.straggler,
        grown.pairs,
        grown.losses,
        grown.turned);
  }

  private RankTrends grown(int[] reporting) {
    int[] all =
        IntStream.concat(Arrays.stream(ranks), Arrays.stream(reporting))
            .sorted()
            .distinct()
            .toArray();
    if (all.length == ranks.length) {
      return this;
    }
    int[] from = Arrays.stream(all).map(rank -> Arrays.binarySearch(ranks, rank)).toArray();
    RankPlaces moved = places == null ? null : places(all, this, null);
    return new RankTrends(
        all,
        moved,
        divergence.moved(from),
        mismatch,
        straggler.moved(from),
        pairs == null ? null : pairs.moved(from),
        losses == null ? null : losses.moved(from),
        turned == null ? null : turned.moved(from));
  }

  private RankPlaces placed(RankEvidence evidence) {
    RankPlaces news = evidence.places();
    boolean known =
        news == null || (news.isSameAs(places) && Arrays.equals(ranks, evidence.ranks()));
    return known ? places : places(ranks, this, evidence);
  }

  /** Of those ranks: as the evidence says, else as it was known before. */
  private static RankPlaces places(int[] ranks, RankTrends before, RankEvidence evidence) {
    String[] hosts = new String[ranks.length];
    String[] devices = new String[ranks.length];
    for (int i = 0; i < ranks.length; i++) {
      int at = evidence == null ? -1 : Arrays.binarySearch(evidence.ranks(), ranks[i]);
      hosts[i] = at < 0 ? null : evidence.places().host(at);
      devices[i] = at < 0 ? null : evidence.places().device(at);
      hosts[i] = hosts[i] == null ? before.host(ranks[i]) : hosts[i];
      devices[i] = devices[i] == null ? before.device(ranks[i]) : devices[i];
    }
    return RankPlaces.of(hosts, devices);
  }

  /** Host of a rank, null if unknown. */
  String host(int rank) {
    int row = places == null ? -1 : row(rank);
    return row < 0 ? null : places.host(row);
  }

  /** Device of a rank, null if unknown. */
  String device(int rank) {
    int row = places == null ? -1 : row(rank);
    return row < 0 ? null : places.device(row);
  }

  private int row(int rank) {
    return Arrays.binarySearch(ranks, rank);
  }

  /** Judges the ranks at a step of the run's own order. */
  RankTrends observe(LayerTable table, Step step, Verdicts out) {
    DetectionPolicy policy = out.policy();
    var peers = PeerNorms.of(table, step, ranks);
    var paired = PairDivergence.observe(step, ranks, peers, pairs, policy.rankDivergence(), out);
    return new RankTrends(
        ranks,
        places,
        RankDivergenceDetector.observe(
            table, step, ranks, peers, divergence, policy.rankDivergence(), out),
        ReplicaMismatchDetector.observe(table, step, mismatch, policy.replicaMismatch(), out),
        StragglerDetector.observe(
            step, ranks, straggler, policy.straggler(), policy.warmUpSteps(), out),
        paired,
        RankLossDetector.observe(
            table, step, ranks, peers, paired, losses, policy.rankDivergence(), out),
        RankTurnDetector.observe(step, ranks, peers, turned, policy.rankDivergence(), out));
  }

  /** Judges what more contributions to a step, or a late one, cannot make wrong. */
  RankTrends revise(LayerTable table, Step step, Verdicts out) {
    out.activeIfAny(FindingKind.RANK_DIVERGENCE, divergence.hold());
    if (pairs != null) {
      out.activeIfAny(FindingKind.RANK_DIVERGENCE, pairs.hold());
    }
    if (losses != null) {
      out.activeIfAny(FindingKind.RANK_DIVERGENCE, losses.hold());
    }
    if (turned != null) {
      out.activeIfAny(FindingKind.RANK_DIVERGENCE, turned.hold());
    }
    out.activeIfAny(FindingKind.STRAGGLER, straggler.hold());
    return new RankTrends(
        ranks,
        places,
        divergence,
        ReplicaMismatchDetector.revise(table, step, mismatch, out.policy().replicaMismatch(), out),
        straggler,
        pairs,
        losses,
        turned);
  }

  /** A column in which row i is what row {@code from[i]} was, or fresh where that is negative. */
  static int[] moved(int[] column, int[] from, int fresh) {
    return Arrays.stream(from).map(row -> row < 0 ? fresh : column[row]).toArray();
  }

  /** Likewise. */
  static long[] moved(long[] column, int[] from, long fresh) {
    return Arrays.stream(from).mapToLong(row -> row < 0 ? fresh : column[row]).toArray();
  }

  /** Likewise; fresh is 0. */
  static float[] moved(float[] column, int[] from) {
    float[] moved = new float[from.length];
    for (int i = 0; i < from.length; i++) {
      moved[i] = from[i] < 0 ? 0 : column[from[i]];
    }
    return moved;
  }
}
