package io.gradflow.operators.analysis;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.matrix.Links;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.matrix.RankGeometry;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.assertj.core.data.Offset;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.factory.Nd4j;

/** ND4J says what the plain loops say, whatever it is given, and leaves nothing behind. */
class Nd4jMatricesTest {
  private static final Offset<Double> EQUAL = within(1e-9);

  private final Matrices plain = new PlainMatrices();
  private final Matrices nd4j = new Nd4jMatrices();

  @ParameterizedTest
  @CsvSource({
    "1, 100, 5",
    "2, 16, 0",
    "15, 100, 3",
    "16, 100, 3",
    "40, 20, 30",
    "70, 61, 8",
    "600, 40, 1"
  })
  void linksWithoutGaps(int rows, int columns, int maxLag) {
    assertSameLinks(matrix(rows, columns, new Random(1)), maxLag);
  }

  @ParameterizedTest
  @ValueSource(doubles = {1e-300, 1e-20, 1e20, 1e300})
  void linksAtAnyScale(double scale) {
    Random random = new Random(2);
    double[][] rows = matrix(30, 50, random);
    for (double[] row : rows) {
      double own = random.nextBoolean() ? scale : 1;
      Arrays.setAll(row, t -> own * row[t]);
    }
    assertSameLinks(rows, 4);
  }

  @Test
  void linksOfRowsWithGapsOfTheirOwn() {
    Random random = new Random(3);
    double[][] rows = matrix(50, 64, random);
    for (double[] row : rows) {
      Arrays.setAll(row, t -> random.nextInt(5) == 0 ? gap(random) : row[t]);
    }
    assertSameLinks(rows, 6);
  }

  @Test
  void linksOfGroupsOfRowsWithGapsInCommon() {
    Random random = new Random(4);
    double[][] rows = matrix(120, 80, random);
    for (int i = 0; i < rows.length; i++) {
      rows[i][7] = Double.NaN; // A step that never came.
      if (i % 3 == 0) {
        rows[i][31] = Double.NaN; // One that came without a pipeline stage.
        rows[i][32] = Double.NaN;
      }
      if (i % 40 == 0) {
        rows[i][random.nextInt(80)] = gap(random);
      }
    }
    assertSameLinks(rows, 10);
  }

  @Test
  void linksOfRowsThatDoNotChange() {
    double[][] rows = matrix(40, 50, new Random(5));
    Arrays.fill(rows[3], 0.1);
    Arrays.fill(rows[4], 0);
    Arrays.fill(rows[5], Double.NaN);
    Arrays.fill(rows[6], 0, 49, 7); // Its one change is out of reach at most lags.
    Arrays.setAll(rows[7], t -> 1e7 + 1e-8 * (t % 2));
    assertSameLinks(rows, 5);
    assertThat(nd4j.links(rows, 5).partner()[3]).isEqualTo(-1);
  }

  @Test
  void linksOfRowsThatAreTheSame() {
    double[][] rows = matrix(40, 50, new Random(6));
    for (int i = 0; i < 20; i++) {
      double factor = i - 4.5;
      double[] row = rows[20];
      rows[i] = Arrays.stream(row).map(cell -> factor * cell + 3).toArray();
    }
    Links links = assertSameLinks(rows, 5);
    assertThat(links.partner()).startsWith(1, 0, 0);
  }

  @Test
  void linksToOtherSeries() {
    Random random = new Random(7);
    double[][] rows = matrix(200, 100, random);
    double[][] others = matrix(3, 100, random);
    for (int t = 6; t < 100; t++) {
      rows[11][t] = 4 - others[1][t - 6];
    }
    others[0][50] = Double.NaN;

    Links links = nd4j.links(rows, others, 8);

    assertSame(links, plain.links(rows, others, 8));
    assertThat(links.partner()[11]).isEqualTo(1);
    assertThat(links.lag()[11]).isEqualTo(6);
    assertThat(links.correlation()[11]).isCloseTo(-1, EQUAL);
    assertSame(nd4j.links(others, rows, 8), plain.links(others, rows, 8));
  }

  @Test
  void emptyMatrices() {
    assertSameLinks(new double[0][], 3);
    assertSameLinks(new double[20][0], 3);
    assertSameLinks(matrix(20, 15, new Random(8)), 3);
    assertThat(nd4j.links(matrix(2, 20, new Random(8)), new double[0][], 3).partner())
        .containsExactly(-1, -1);
    assertSameGeometry(new float[0][]);
    assertSameGeometry(new float[20][]);
    assertSameGeometry(new float[20][0]);
  }

  @Test
  void refusesWhatPlainLoopsRefuse() {
    assertThatThrownBy(() -> nd4j.links(new double[][] {{1}, {1, 2}}, 1))
        .hasMessage("row 1: expected 1 columns as in row 0, got 2");
    assertThatThrownBy(() -> nd4j.links(new double[1][3], new double[1][4], 1))
        .hasMessage("others: expected 3 columns as the rows have, got 4");
  }

  @Test
  void slopes() {
    double[][] rows = matrix(30, 40, new Random(9));
    rows[4][3] = Double.NaN;
    double[] at = rows[29];
    assertThat(nd4j.slopes(at, rows)).containsExactly(plain.slopes(at, rows), EQUAL);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 64", "23, 64", "24, 64", "64, 64", "65, 64", "256, 64", "300, 32", "30, 24", "20, 3"
  })
  void geometry(int ranks, int width) {
    assertSameGeometry(sketches(ranks, width, 1));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1e-30, 1e30})
  void geometryAtAnyScale(double scale) {
    float[][] sketches = sketches(32, 64, scale);
    assertSameGeometry(sketches);
    assertThat(nd4j.geometry(sketches).coherence()[0]).isGreaterThan(0.5);
  }

  @Test
  void geometryWithRanksThatAreNotUsable() {
    float[][] sketches = sketches(40, 64, 1);
    sketches[0] = null;
    sketches[7][3] = Float.NaN;
    sketches[8][63] = Float.NEGATIVE_INFINITY;
    Arrays.fill(sketches[9], 0);
    sketches[10] = sketches[11].clone();
    assertSameGeometry(sketches);
  }

  @Test
  void geometryOfOneDirection() {
    float[][] sketches = sketches(40, 64, 1);
    Arrays.fill(sketches, sketches[0]);
    RankGeometry geometry = assertSameGeometry(sketches);
    assertThat(geometry.effectiveRanks()).isCloseTo(1, EQUAL);
    assertSameGeometry(new float[40][64]);
  }

  @Test
  void worksOnOneThreadWhoeverCalls() throws Exception {
    assertThat(Nd4j.factory().blas().getMaxThreads()).isOne();
    ExecutorService other = Executors.newSingleThreadExecutor();
    try {
      assertThat(other.submit(() -> Nd4j.factory().blas().getMaxThreads()).get()).isOne();
    } finally {
      other.shutdown();
    }
  }

  @Test
  void javaCppDoesNotCountTheMemoryOfTheProcess() {
    assertThat(Pointer.maxPhysicalBytes()).isZero();
    assertThat(Pointer.maxBytes()).isEqualTo(256L << 20);
  }

  @Test
  void leavesNothingOutsideTheHeap() throws Exception {
    // Without a collector, what is not closed is not freed either.
    String grown =
        OwnJvm.run(
            Repeated.class,
            jar -> true,
            "-XX:+UnlockExperimentalVMOptions",
            "-XX:+UseEpsilonGC",
            "-Xmx2g",
            "-Xlog:disable");
    assertThat(Long.parseLong(grown)).as("bytes, of the 110 MB used").isLessThan(20 << 20);
  }

  /** The JVM's main: prints by how much memory outside the heap grew. */
  static final class Repeated {
    private Repeated() {}

    public static void main(String[] arguments) {
      Matrices matrices = new Nd4jMatrices();
      double[][] rows = matrix(512, 100, new Random(10));
      float[][] sketches = sketches(64, 64, 1);
      long before = 0;
      for (int i = 0; i < 50; i++) {
        if (i == 10) {
          before = outsideTheHeap();
        }
        matrices.links(rows, 0);
        matrices.geometry(sketches);
      }
      System.out.println(outsideTheHeap() - before);
    }

    private static long outsideTheHeap() {
      Runtime heap = Runtime.getRuntime();
      return Pointer.physicalBytes() - (heap.totalMemory() - heap.freeMemory());
    }
  }

  private Links assertSameLinks(double[][] rows, int maxLag) {
    Links links = nd4j.links(rows, maxLag);
    assertSame(links, plain.links(rows, maxLag));
    return links;
  }

  private static void assertSame(Links actual, Links expected) {
    assertThat(actual.partner()).isEqualTo(expected.partner());
    assertThat(actual.lag()).isEqualTo(expected.lag());
    assertThat(actual.pairs()).isEqualTo(expected.pairs());
    assertSame(actual.correlation(), expected.correlation());
  }

  private RankGeometry assertSameGeometry(float[][] sketches) {
    RankGeometry actual = nd4j.geometry(sketches);
    RankGeometry expected = plain.geometry(sketches);
    assertSame(actual.coherence(), expected.coherence());
    assertSame(actual.spectrum(), expected.spectrum());
    assertSame(new double[] {actual.effectiveRanks()}, new double[] {expected.effectiveRanks()});
    return actual;
  }

  private static void assertSame(double[] actual, double[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      if (Double.isNaN(expected[i])) {
        assertThat(actual[i]).as("index %d", i).isNaN();
      } else {
        assertThat(actual[i]).as("index %d", i).isCloseTo(expected[i], EQUAL);
      }
    }
  }

  /** Rows that have something in common, at various lags. */
  private static double[][] matrix(int rows, int columns, Random random) {
    double[] common = random.doubles(columns + 10).toArray();
    double[][] matrix = new double[rows][columns];
    for (double[] row : matrix) {
      int lag = random.nextInt(10);
      double share = random.nextDouble();
      double offset = 100 * random.nextGaussian();
      Arrays.setAll(
          row, t -> offset + share * common[t + lag] + (1 - share) * random.nextGaussian());
    }
    return matrix;
  }

  private static double gap(Random random) {
    return switch (random.nextInt(3)) {
      case 0 -> Double.POSITIVE_INFINITY;
      case 1 -> Double.NEGATIVE_INFINITY;
      default -> Double.NaN;
    };
  }

  private static float[][] sketches(int ranks, int width, double scale) {
    Random random = new Random(20);
    double[] common = random.doubles(width).toArray();
    float[][] sketches = new float[ranks][width];
    for (float[] sketch : sketches) {
      for (int k = 0; k < width; k++) {
        sketch[k] = (float) (scale * (common[k] + 0.3 * random.nextGaussian()));
      }
    }
    return sketches;
  }
}
