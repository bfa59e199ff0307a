package io.gradflow.core.matrix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class PlainMatricesTest {
  private static final double GAP = Double.NaN;
  private static final Offset<Double> ROUNDING = within(1e-12);

  private final Matrices matrices = new PlainMatrices();
  private final Random random = new Random(11);

  @Test
  void slopesOfLinesWithAndWithoutGaps() {
    double[] at = row(10, t -> 1_000_000 + 3 * t);
    double[] line = row(10, t -> 7 - 0.25 * at[t]);
    double[] gaps = line.clone();
    gaps[0] = GAP;
    gaps[4] = Double.POSITIVE_INFINITY;
    gaps[9] = GAP;

    double[] slopes =
        matrices.slopes(at, new double[][] {line, gaps, row(10, t -> 5), row(10, t -> GAP)});

    assertThat(slopes[0]).isCloseTo(-0.25, ROUNDING);
    assertThat(slopes[1]).isCloseTo(-0.25, ROUNDING);
    assertThat(slopes[2]).isZero();
    assertThat(slopes[3]).isNaN();
  }

  @Test
  void aSlopeNeedsThreeCellsAtTwoPlaces() {
    double[][] rows = {{1, GAP, GAP, 5}, {1, 2, 3, GAP}};
    assertThat(matrices.slopes(new double[] {0, 1, 2, 3}, rows)).containsExactly(Double.NaN, 1);
    assertThat(matrices.slopes(new double[] {4, 4, 4, 4}, rows))
        .containsExactly(Double.NaN, Double.NaN);
    assertThat(matrices.slopes(new double[0], new double[0][])).isEmpty();
  }

  @Test
  void slopesAtAnyScale() {
    double[] at = row(5, t -> t);
    double[][] rows = {
      row(5, t -> 2e307 * t), row(5, t -> 3e-300 * t), row(5, t -> t * 4 * Double.MIN_VALUE)
    };
    double[] slopes = matrices.slopes(at, rows);
    assertThat(slopes[0] / 2e307).isCloseTo(1, ROUNDING);
    assertThat(slopes[1] / 3e-300).isCloseTo(1, ROUNDING);
    assertThat(slopes[2]).isEqualTo(4 * Double.MIN_VALUE);
  }

  @Test
  void aRowThatFollowsAnotherIsLinkedToItAtItsLag() {
    double[] leader = noise(60);
    double[] follower = row(60, t -> t < 3 ? random.nextGaussian() : 1e6 - 2 * leader[t - 3]);

    Links links = matrices.links(new double[][] {noise(60), leader, follower, noise(60)}, 5);

    assertThat(links.partner()[2]).isEqualTo(1);
    assertThat(links.lag()[2]).isEqualTo(3);
    assertThat(links.correlation()[2]).isCloseTo(-1, within(1e-9));
    assertThat(links.pairs()[2]).isEqualTo(57);
    assertThat(links.partner()[1]).isEqualTo(2);
    assertThat(links.lag()[1]).isEqualTo(-3);
    assertThat(Math.abs(links.correlation()[0])).isLessThan(0.6);
  }

  @Test
  void aPairWithAGapDoesNotCount() {
    double[] leader = noise(40);
    double[] follower = row(40, t -> t == 0 ? GAP : leader[t - 1]);
    follower[10] = GAP;
    leader[20] = GAP; // Cell 21 of the follower, and 20 of the leader for itself.

    Links links = matrices.links(new double[][] {follower}, new double[][] {leader}, 2);

    assertThat(links.partner()).containsExactly(0);
    assertThat(links.lag()).containsExactly(1);
    assertThat(links.pairs()).containsExactly(37);
    assertThat(links.correlation()[0]).isCloseTo(1, ROUNDING);
  }

  @Test
  void correlationAgreesWithTheDefinition() {
    double[] a = noise(30);
    double[] b = row(30, t -> 0.3 * a[t] + random.nextGaussian());
    double meanA = Arrays.stream(a).average().orElseThrow();
    double meanB = Arrays.stream(b).average().orElseThrow();
    double covariance =
        IntStream.range(0, 30).mapToDouble(t -> (a[t] - meanA) * (b[t] - meanB)).sum();
    double expected =
        covariance
            / Math.sqrt(
                Arrays.stream(a).map(v -> (v - meanA) * (v - meanA)).sum()
                    * Arrays.stream(b).map(v -> (v - meanB) * (v - meanB)).sum());

    Links links = matrices.links(new double[][] {a}, new double[][] {b}, 0);

    assertThat(links.correlation()[0]).isCloseTo(expected, ROUNDING);
  }

  @Test
  void sixteenPairsAreNeeded() {
    double[] leader = row(17, t -> t * t);
    double[] follower = row(17, t -> t == 0 ? GAP : leader[t - 1]);
    Links links = matrices.links(new double[][] {follower}, new double[][] {leader}, 5);
    assertThat(links.lag()).containsExactly(1);
    assertThat(links.pairs()).containsExactly(Matrices.MIN_PAIRS);

    follower[5] = GAP;
    links = matrices.links(new double[][] {follower}, new double[][] {leader}, 5);
    assertThat(links.partner()).containsExactly(-1);
    assertThat(links.correlation()).containsExactly(Double.NaN);
    assertThat(links.lag()).containsExactly(0);
    assertThat(links.pairs()).containsExactly(0);
  }

  @Test
  void aConstantRowHasNoPartner() {
    double[] steady = row(40, t -> 0.1);
    double[] rounding = row(40, t -> 1e5 + 1e-10 * (t % 3));
    Links links = matrices.links(new double[][] {steady, rounding, noise(40)}, 3);
    assertThat(links.partner()).containsExactly(-1, -1, -1);
  }

  @Test
  void aLargeOffsetCostsNoDigits() {
    double[] a = noise(50);
    double[] raised = row(50, t -> 1e8 + a[t]);
    Links links = matrices.links(new double[][] {raised}, new double[][] {a}, 0);
    assertThat(links.correlation()[0]).isCloseTo(1, ROUNDING);
  }

  @Test
  void linksDoNotDependOnTheScale() {
    double[][] rows = {noise(40), noise(40), noise(40)};
    Links links = matrices.links(rows, 4);
    for (double scale : new double[] {1e-300, 1e300}) {
      double[][] scaled =
          Arrays.stream(rows)
              .map(row -> Arrays.stream(row).map(cell -> scale * cell).toArray())
              .toArray(double[][]::new);
      Links other = matrices.links(scaled, 4);
      assertThat(other.partner()).isEqualTo(links.partner());
      assertThat(other.lag()).isEqualTo(links.lag());
      assertThat(other.correlation()).containsExactly(links.correlation(), ROUNDING);
    }
  }

  @Test
  void ofEquallyStrongPartnersTheNearestInTimeAndThenTheFirstWins() {
    double[] wave = row(48, t -> Math.sin(t * Math.PI / 4));
    double[][] copies = {wave, row(48, t -> -3 * wave[t]), wave, row(48, t -> 1 + wave[t] / 7)};
    Links links = matrices.links(copies, 8);
    assertThat(links.partner()).containsExactly(1, 0, 0, 0);
    assertThat(links.lag()).containsExactly(0, 0, 0, 0);
  }

  @Test
  void anythingEmptyHasAnAnswer() {
    assertThat(matrices.links(new double[0][], 3).partner()).isEmpty();
    assertThat(matrices.links(new double[][] {noise(20)}, 3).partner()).containsExactly(-1);
    assertThat(matrices.links(new double[][] {noise(20)}, new double[0][], 3).partner())
        .containsExactly(-1);
    assertThat(matrices.links(new double[2][0], 3).partner()).containsExactly(-1, -1);
    assertThat(matrices.links(new double[][] {noise(20), noise(20)}, Integer.MAX_VALUE).pairs())
        .doesNotContain(0);
  }

  @Test
  void argumentsMustFitTogether() {
    double[][] ragged = {new double[3], new double[4]};
    assertThatThrownBy(() -> matrices.links(ragged, 1))
        .hasMessage("row 1: expected 3 columns as in row 0, got 4");
    assertThatThrownBy(() -> matrices.links(new double[1][3], new double[1][4], 1))
        .hasMessage("others: expected 3 columns as the rows have, got 4");
    assertThatThrownBy(() -> matrices.links(new double[1][3], -1))
        .hasMessage("maxLag: expected 0 or more, got -1");
    assertThatThrownBy(() -> matrices.slopes(new double[2], new double[1][3]))
        .hasMessage("slopes: expected a place for each of 3 columns, got 2");
    assertThatThrownBy(() -> matrices.geometry(new float[][] {null, {1}, {1, 2}}))
        .hasMessage("rank 2: expected a sketch of 1 values as that of rank 1, got 2");
  }

  @Test
  void ranksThatPointTheSameWay() {
    RankGeometry geometry = matrices.geometry(new float[][] {{1, 2, 2}, {2, 4, 4}, {-3, -6, -6}});
    assertThat(geometry.coherence()[0]).isCloseTo(-1, ROUNDING); // The others' sum is -1 of it.
    assertThat(geometry.coherence()[2]).isCloseTo(-1, ROUNDING);
    assertThat(geometry.spectrum()).containsExactly(new double[] {1, 0, 0}, ROUNDING);
    assertThat(geometry.effectiveRanks()).isCloseTo(1, ROUNDING);
  }

  @Test
  void orthogonalRanks() {
    float[][] sketches = new float[10][16];
    for (int rank = 0; rank < 10; rank++) {
      sketches[rank][rank] = -7;
    }
    RankGeometry geometry = matrices.geometry(sketches);
    assertThat(geometry.coherence()).containsOnly(0);
    assertThat(geometry.spectrum()).hasSize(Matrices.MAX_EIGENVALUES);
    for (double share : geometry.spectrum()) {
      assertThat(share).isCloseTo(0.1, ROUNDING);
    }
    assertThat(geometry.effectiveRanks()).isCloseTo(10, within(1e-9));
  }

  @Test
  void theSpectrumOfAKnownMatrix() {
    // Gram matrix [[4, 2], [2, 3]]: eigenvalues (7 ± sqrt(17)) / 2.
    float root2 = (float) Math.sqrt(2);
    RankGeometry geometry = matrices.geometry(new float[][] {{2, 0, 0}, {1, root2, 0}});
    assertThat(geometry.spectrum())
        .containsExactly(
            new double[] {(7 + Math.sqrt(17)) / 14, (7 - Math.sqrt(17)) / 14}, within(1e-7));
    assertThat(geometry.effectiveRanks()).isCloseTo(49 / (16.0 + 9 + 2 * 4), within(1e-6));
    assertThat(geometry.coherence()[0]).isCloseTo(2 / (2 * Math.sqrt(3)), within(1e-7));
  }

  @Test
  void moreRanksThanColumnsHaveTheSameSpectrumAsTheirTranspose() {
    float[][] sketches = new float[40][6];
    float[][] transposed = new float[6][40];
    for (int rank = 0; rank < 40; rank++) {
      for (int k = 0; k < 6; k++) {
        sketches[rank][k] = (float) (random.nextGaussian() + k);
        transposed[k][rank] = sketches[rank][k];
      }
    }
    RankGeometry geometry = matrices.geometry(sketches);
    assertThat(geometry.spectrum()).hasSize(6);
    assertThat(Arrays.stream(geometry.spectrum()).sum()).isCloseTo(1, ROUNDING);
    assertThat(geometry.spectrum())
        .containsExactly(matrices.geometry(transposed).spectrum(), ROUNDING);
  }

  @Test
  void theSignOfOneRankStandsOut() {
    float[][] sketches = new float[8][64];
    for (int k = 0; k < 64; k++) {
      double common = random.nextGaussian();
      for (int rank = 0; rank < 8; rank++) {
        sketches[rank][k] = (float) ((rank == 5 ? -1 : 1) * common + 0.5 * random.nextGaussian());
      }
    }
    double[] coherence = matrices.geometry(sketches).coherence();
    for (int rank = 0; rank < 8; rank++) {
      if (rank == 5) {
        assertThat(coherence[rank]).isLessThan(-0.7);
      } else {
        assertThat(coherence[rank]).isGreaterThan(0.7);
      }
    }
  }

  @Test
  void ranksWithoutAUsableSketchAreLeftOut() {
    RankGeometry geometry =
        matrices.geometry(
            new float[][] {
              {3, 4}, null, {Float.NaN, 1}, {3, 4}, {0, 0}, {0, Float.NEGATIVE_INFINITY}
            });
    assertThat(geometry.coherence())
        .containsExactly(1, Double.NaN, Double.NaN, 1, Double.NaN, Double.NaN);
    assertThat(geometry.spectrum()).containsExactly(new double[] {1, 0}, ROUNDING);
    assertThat(geometry.effectiveRanks()).isCloseTo(1, ROUNDING);
  }

  @Test
  void ranksBesideOneThatIsFarLarger() {
    float[][] sketches = {{1e30f, 0}, {1, 1}, {1, 1}};
    assertThat(matrices.geometry(sketches).coherence()[0]).isCloseTo(Math.sqrt(0.5), ROUNDING);
  }

  @Test
  void withoutRanksThereIsNoGeometry() {
    RankGeometry none = matrices.geometry(new float[0][]);
    assertThat(none.coherence()).isEmpty();
    assertThat(none.spectrum()).isEmpty();
    assertThat(none.effectiveRanks()).isNaN();

    RankGeometry one = matrices.geometry(new float[][] {{5, 5}});
    assertThat(one.coherence()).containsExactly(Double.NaN);
    assertThat(one.spectrum()).containsExactly(1);
    assertThat(one.effectiveRanks()).isEqualTo(1);

    RankGeometry zeros = matrices.geometry(new float[3][4]);
    assertThat(zeros.spectrum()).isEmpty();
    assertThat(zeros.effectiveRanks()).isNaN();
  }

  @Test
  void noInputIsChanged() {
    double[][] rows = {noise(20), noise(20)};
    double[][] before = Arrays.stream(rows).map(double[]::clone).toArray(double[][]::new);
    matrices.links(rows, 2);
    matrices.slopes(row(20, t -> t), rows);
    assertThat(rows).isDeepEqualTo(before);
  }

  private double[] noise(int length) {
    return row(length, t -> random.nextGaussian());
  }

  private static double[] row(int length, IntToDoubleFunction cell) {
    return IntStream.range(0, length).mapToDouble(cell).toArray();
  }
}
