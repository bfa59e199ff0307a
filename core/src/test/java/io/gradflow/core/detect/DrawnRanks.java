package io.gradflow.core.detect;

import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * What the ranks of a made-up step know: LOCAL gradients about the layers' levels, as an evidence
 * would sum them up.
 */
public final class DrawnRanks {
  private static final int OUTLIERS = 8;

  private final double[][] log2Rms;
  private final boolean[] absent;
  private final double elements;
  private float[] coherence;
  private double[] weight;
  private double[] clipCoef;
  private double[] loss;
  private double[] reducedNorm;
  private final long[] lagMs;
  private float[] replicaSpread;
  private Long writtenAt;
  private RankPlaces places;

  /**
   * Ranks whose batches make their gradients differ.
   *
   * @param level of the layers, octaves
   * @param noise of a rank's whole gradient, octaves
   * @param layerNoise of single layers beside that
   */
  DrawnRanks(
      Random random, int ranks, double[] level, double noise, double layerNoise, double elements) {
    this.elements = elements;
    log2Rms = new double[ranks][level.length];
    absent = new boolean[ranks];
    lagMs = new long[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      double whole = noise * random.nextGaussian();
      lagMs[rank] = random.nextInt(50);
      for (int layer = 0; layer < level.length; layer++) {
        log2Rms[rank][layer] = level[layer] + whole + layerNoise * random.nextGaussian();
      }
    }
  }

  /** The rank's gradient is larger in all layers. */
  public DrawnRanks raise(int rank, double octaves) {
    for (int layer = 0; layer < log2Rms[rank].length; layer++) {
      raise(rank, layer, octaves);
    }
    return this;
  }

  /** It is so in one layer. */
  public DrawnRanks raise(int rank, int layer, double octaves) {
    log2Rms[rank][layer] += octaves;
    return this;
  }

  /** The rank's gradient is exactly zero. */
  public DrawnRanks zero(int rank) {
    Arrays.fill(log2Rms[rank], Double.NEGATIVE_INFINITY);
    return this;
  }

  /** The rank sent nothing. */
  public DrawnRanks absent(int rank) {
    absent[rank] = true;
    return this;
  }

  /** Cosines of the ranks with the mean of the others. */
  public DrawnRanks coherent(Random random, double cosine, double noise) {
    coherence = new float[log2Rms.length];
    for (int rank = 0; rank < coherence.length; rank++) {
      coherence[rank] = (float) (cosine + noise * random.nextGaussian());
    }
    return this;
  }

  /** One rank's cosine, give or take its noise, is another one than the others'. */
  public DrawnRanks turned(int rank, double difference) {
    coherence[rank] += (float) difference;
    return this;
  }

  /** All cosines are one number, as those of a pair are. */
  DrawnRanks coherentAlike(double cosine) {
    coherence = new float[log2Rms.length];
    Arrays.fill(coherence, (float) cosine);
    return this;
  }

  public DrawnRanks weights(double... ofRanks) {
    weight = ofRanks;
    return this;
  }

  public DrawnRanks clipCoefs(double... ofRanks) {
    clipCoef = ofRanks;
    return this;
  }

  /** The losses of the ranks' own batches; NaN of one that says none. */
  public DrawnRanks losses(double... ofRanks) {
    loss = ofRanks;
    return this;
  }

  public DrawnRanks late(int rank, long ms) {
    lagMs[rank] += ms;
    return this;
  }

  public DrawnRanks writtenAt(long ms) {
    writtenAt = ms;
    return this;
  }

  /** Eight ranks a host. */
  public DrawnRanks placed() {
    places =
        RankPlaces.of(
            IntStream.range(0, lagMs.length)
                .mapToObj(rank -> "node-" + rank / 8)
                .toArray(String[]::new),
            IntStream.range(0, lagMs.length)
                .mapToObj(rank -> "cuda:" + rank % 8)
                .toArray(String[]::new));
    return this;
  }

  /** The copies of a layer differ, one rank having another one. */
  public DrawnRanks mismatched(int layer, double spread, int rank) {
    if (replicaSpread == null) {
      replicaSpread = new float[log2Rms[0].length];
      reducedNorm = new double[log2Rms.length];
      Arrays.fill(reducedNorm, 1);
    }
    replicaSpread[layer] = (float) spread;
    reducedNorm[rank] = 1 + spread;
    return this;
  }

  /** All copies agree. */
  public DrawnRanks replicated() {
    replicaSpread = new float[log2Rms[0].length];
    return this;
  }

  RankEvidence evidence() {
    int[] ranks = IntStream.range(0, absent.length).filter(rank -> !absent[rank]).toArray();
    int layers = log2Rms[0].length;
    int[] outlierRanks = new int[layers * OUTLIERS];
    float[] outlierLog2Rms = new float[layers * OUTLIERS];
    Arrays.fill(outlierRanks, -1);
    Arrays.fill(outlierLog2Rms, Float.NaN);
    int[] offsets = new int[layers + 1];
    IntStream.Builder bins = IntStream.builder();
    IntStream.Builder counts = IntStream.builder();
    int[] localRanks = new int[layers];
    Arrays.fill(localRanks, ranks.length);
    for (int layer = 0; layer < layers; layer++) {
      int of = layer;
      double median =
          Robust.median(Arrays.stream(ranks).mapToDouble(rank -> log2Rms[rank][of]).toArray());
      int[] farthest =
          Arrays.stream(ranks)
              .boxed()
              .sorted(Comparator.comparingDouble(rank -> -Math.abs(log2Rms[rank][of] - median)))
              .limit(OUTLIERS)
              .mapToInt(Integer::intValue)
              .toArray();
      for (int k = 0; k < farthest.length; k++) {
        outlierRanks[layer * OUTLIERS + k] = farthest[k];
        outlierLog2Rms[layer * OUTLIERS + k] = (float) log2Rms[farthest[k]][layer];
      }
      var histogram = new TreeMap<Integer, Integer>();
      for (int rank : ranks) {
        histogram.merge((int) Math.floor(16 * log2Rms[rank][layer]), 1, Integer::sum);
      }
      histogram.keySet().forEach(bins::add);
      histogram.values().forEach(counts::add);
      offsets[layer + 1] = offsets[layer] + histogram.size();
    }
    return new RankEvidence(
        ranks,
        Arrays.stream(ranks).mapToDouble(this::norm).toArray(),
        Arrays.stream(ranks).mapToLong(rank -> lagMs[rank]).toArray(),
        new long[ranks.length],
        OUTLIERS,
        outlierRanks,
        outlierLog2Rms,
        offsets,
        bins.build().toArray(),
        counts.build().toArray(),
        new double[layers],
        localRanks,
        replicaSpread,
        writtenAt,
        ranks.length == absent.length ? places : null,
        new RankComparison(
                of(ranks, reducedNorm),
                null,
                coherence == null ? null : floats(ranks),
                null,
                null,
                null,
                0,
                null,
                null,
                of(ranks, weight),
                of(ranks, clipCoef),
                of(ranks, loss))
            .orNull());
  }

  private double norm(int rank) {
    return Math.sqrt(
        Arrays.stream(log2Rms[rank]).map(octaves -> elements * Math.pow(4, octaves)).sum());
  }

  private float[] floats(int[] ranks) {
    float[] values = new float[ranks.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = coherence[ranks[i]];
    }
    return values;
  }

  private static double[] of(int[] ranks, double[] column) {
    return column == null ? null : Arrays.stream(ranks).mapToDouble(rank -> column[rank]).toArray();
  }
}
