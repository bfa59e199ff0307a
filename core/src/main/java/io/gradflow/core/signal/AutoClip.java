package io.gradflow.core.signal;

/**
 * What AutoClip would clip to: the {@value #PERCENT}th percentile of all norms so far, the present
 * one included. Seetharaman, Wichern, Pardo, Le Roux (2020), "AutoClip: adaptive gradient clipping
 * for source separation networks".
 *
 * <p>It remembers every norm; here they are counted in bins of 1/16 octave, from 2^-40 to 2^40, the
 * first and last bin taking what lies beyond. So the threshold is off by 1/32 octave at most: 2.2
 * %.
 *
 * <p>Changed in place.
 *
 * @param counts norms in each bin
 */
public record AutoClip(int[] counts) {
  private static final int PERCENT = 10;
  private static final int BINS_AN_OCTAVE = 16;
  private static final int OCTAVES = 40;
  private static final int BINS = 2 * OCTAVES * BINS_AN_OCTAVE;

  /** A clipper that has seen no norm. */
  static AutoClip fresh() {
    return new AutoClip(new int[BINS]);
  }

  /** Adds a norm, then says to what it would be clipped. */
  Clipping observe(double norm) {
    double octaves = Octaves.log2(norm) + OCTAVES;
    counts[(int) Math.max(0, Math.min(BINS - 1, Math.floor(octaves * BINS_AN_OCTAVE)))]++;
    return Clipping.to(threshold(), norm);
  }

  /** Between the two norms on whose ranks the percentile falls, linearly. */
  private double threshold() {
    long norms = 0;
    for (int count : counts) {
      norms += count;
    }
    double rank = (norms - 1) * (PERCENT / 100.0);
    double lower = ofRank((long) rank);
    return lower + (rank - Math.floor(rank)) * (ofRank((long) Math.ceil(rank)) - lower);
  }

  private double ofRank(long rank) {
    int bin = 0;
    for (long upTo = counts[0]; upTo <= rank; upTo += counts[bin]) {
      bin++;
    }
    return Math.pow(2, (bin + 0.5) / BINS_AN_OCTAVE - OCTAVES);
  }
}
