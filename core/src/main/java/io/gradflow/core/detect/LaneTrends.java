package io.gradflow.core.detect;

import java.util.Arrays;

/**
 * What detectors remember of a lane: one stream of an attempt under one manifest. Columns are
 * changed in place.
 *
 * @param lastStep highest step that came in order, -1 before the first
 * @param published steps that came in order
 * @param lastTrended highest step that trends learnt from, -1 before the first
 * @param trended steps that trends learnt from
 * @param seen the last steps that came, in any order
 * @param advice null in states of release 0.1
 * @param magnitude null in states of release 0.1
 * @param ranks likewise
 */
public record LaneTrends(
    String stream,
    long manifestId,
    long lastStep,
    long published,
    long lastTrended,
    long trended,
    Seen seen,
    LayerSeries series,
    Baselines baselines,
    NonFiniteDetector.State nonFinite,
    ExplodingSpikeDetector.State explodingSpike,
    ExplodingTrendDetector.State explodingTrend,
    VanishingTrendDetector.State vanishingTrend,
    VanishingDepthDetector.State vanishingDepth,
    DeadLayerDetector.State deadLayer,
    MissingShardsDetector.State missingShards,
    ContractDetector.State contract,
    AdviceTrends advice,
    MagnitudeTrends magnitude,
    RankTrends ranks) {

  /**
   * Which revisions were seen of the last 64 steps that came: rings, changed in place. Upstream
   * revises no step older than that.
   *
   * @param steps -1 in a free slot
   * @param ordinals how many steps came in order before that one, -1 for a late step
   */
  public record Seen(long[] steps, long[] revisions, long[] ordinals) {
    private static final int SIZE = 64;

    static Seen none() {
      long[] steps = new long[SIZE];
      Arrays.fill(steps, -1);
      return new Seen(steps, new long[SIZE], new long[SIZE]);
    }

    /** Slot of a step, -1 if it was not seen. */
    int find(long step) {
      for (int slot = 0; slot < SIZE; slot++) {
        if (steps[slot] == step) {
          return slot;
        }
      }
      return -1;
    }

    /** Notes a step that was not seen before, in place of the lowest one. */
    void add(long step, long revision, long ordinal) {
      int lowest = 0;
      for (int slot = 1; slot < SIZE; slot++) {
        if (steps[slot] < steps[lowest]) {
          lowest = slot;
        }
      }
      steps[lowest] = step;
      revisions[lowest] = revision;
      ordinals[lowest] = ordinal;
    }
  }

  static LaneTrends of(String stream, LayerTable table) {
    int layers = table.size();
    return new LaneTrends(
        stream,
        table.manifestId(),
        -1,
        0,
        -1,
        0,
        Seen.none(),
        LayerSeries.of(layers),
        Baselines.of(layers),
        NonFiniteDetector.State.FRESH,
        ExplodingSpikeDetector.State.of(layers),
        ExplodingTrendDetector.State.of(layers),
        VanishingTrendDetector.State.of(layers),
        VanishingDepthDetector.State.FRESH,
        DeadLayerDetector.State.of(layers),
        MissingShardsDetector.State.FRESH,
        ContractDetector.State.FRESH,
        AdviceTrends.of(layers),
        MagnitudeTrends.of(layers),
        RankTrends.of(layers));
  }
}
