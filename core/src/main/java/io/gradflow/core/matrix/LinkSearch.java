package io.gradflow.core.matrix;

import static io.gradflow.core.matrix.Matrices.MIN_PAIRS;

import java.util.Arrays;

/**
 * Finds the strongest partner of each row among all that are offered, whatever their order.
 *
 * <p>Correlations that agree to 1e-9 are equally strong. Of these the smaller lag wins, then the
 * positive one, then the partner with the smaller index: results do not depend on rounding.
 */
public final class LinkSearch {
  private static final double RESOLUTION = 1e9;

  private final int[] partner;
  private final double[] correlation;
  private final int[] lag;
  private final int[] pairs;
  private final int maxLag;

  private LinkSearch(int rows, int maxLag) {
    this.maxLag = maxLag;
    partner = new int[rows];
    correlation = new double[rows];
    lag = new int[rows];
    pairs = new int[rows];
    Arrays.fill(partner, -1);
    Arrays.fill(correlation, Double.NaN);
  }

  /** A search for partners of the rows among others, at lags up to {@code maxLag}. */
  public static LinkSearch between(Series[] rows, Series[] others, int maxLag) {
    if (maxLag < 0) {
      throw new IllegalArgumentException("maxLag: expected 0 or more, got " + maxLag);
    }
    if (rows.length > 0 && others.length > 0 && rows[0].length() != others[0].length()) {
      throw new IllegalArgumentException(
          "others: expected %d columns as the rows have, got %d"
              .formatted(rows[0].length(), others[0].length()));
    }
    int columns = rows.length == 0 ? 0 : rows[0].length();
    return new LinkSearch(rows.length, Math.min(maxLag, Math.max(0, columns - MIN_PAIRS)));
  }

  /** The largest lag to look at: at larger ones too few pairs are left. */
  public int maxLag() {
    return maxLag;
  }

  /** Offers a row a partner. */
  public void offer(int row, int other, int atLag, Correlation correlated) {
    offer(row, other, atLag, correlated.r(), correlated.pairs());
  }

  /**
   * Offers a row a partner.
   *
   * @param r their correlation; NaN if they have none
   */
  public void offer(int row, int other, int atLag, double r, int ofPairs) {
    // Most offers are beaten by far: this comes before all that costs time.
    if (Math.abs(r) < Math.abs(correlation[row]) - 2 / RESOLUTION || Double.isNaN(r)) {
      return;
    }
    if (partner[row] < 0 || beats(row, other, atLag, r)) {
      partner[row] = other;
      correlation[row] = Math.max(-1, Math.min(1, r));
      lag[row] = atLag;
      pairs[row] = ofPairs;
    }
  }

  private boolean beats(int row, int other, int atLag, double r) {
    int byStrength = Double.compare(strength(r), strength(correlation[row]));
    if (byStrength != 0) {
      return byStrength > 0;
    }
    int byDistance = Integer.compare(Math.abs(atLag), Math.abs(lag[row]));
    if (byDistance != 0) {
      return byDistance < 0;
    }
    return atLag != lag[row] ? atLag > lag[row] : other < partner[row];
  }

  private static double strength(double r) {
    return Math.rint(Math.min(1, Math.abs(r)) * RESOLUTION);
  }

  /** What was found. Nothing may be offered afterwards. */
  public Links links() {
    return new Links(partner, correlation, lag, pairs);
  }
}
