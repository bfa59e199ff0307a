package io.gradflow.benchmarks;

import io.gradflow.core.matrix.Links;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.matrix.RankGeometry;
import io.gradflow.operators.analysis.Nd4jMatrices;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Analysis of matrices, by plain loops and by ND4J. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 1, time = 1)
@Measurement(iterations = 3, time = 500, timeUnit = TimeUnit.MILLISECONDS)
public class MatrixBenchmarks {
  private static final int STEPS = 100;
  private static final int MAX_LAG = 8;
  private static final int WIDTH = 64;

  /** Correlations of all layers of a window at lags of up to 8 steps. */
  @Benchmark
  public Links links(Window window, By by) {
    return by.matrices.links(window.rows, MAX_LAG);
  }

  /** Correlations of all layers with loss and learning rate. */
  @Benchmark
  public Links sensitivity(Window window, By by) {
    return by.matrices.links(window.rows, window.scalars, MAX_LAG);
  }

  /** Slopes of all layers of a window. */
  @Benchmark
  public double[] slopes(Window window, SlopesBy by) {
    return by.slopes.of(window.steps, window.rows);
  }

  /** Gram matrix, spectrum and coherence of the ranks of a step. */
  @Benchmark
  public RankGeometry geometry(Ranks ranks, By by) {
    return by.matrices.geometry(ranks.sketches);
  }

  /** Who computes. */
  @State(Scope.Benchmark)
  public static class By {
    @Param({"plain", "nd4j"})
    public String by;

    private Matrices matrices;

    @Setup
    public void choose() {
      matrices = by.equals("plain") ? new PlainMatrices() : new Nd4jMatrices();
    }
  }

  /** Who computes slopes: {@link Nd4jMatrices} leaves them to the loops, and here is why. */
  @State(Scope.Benchmark)
  public static class SlopesBy {
    @Param({"plain", "nd4j"})
    public String by;

    private Slopes slopes;

    @Setup
    public void choose() {
      new Nd4jMatrices(); // One thread.
      slopes = by.equals("plain") ? new PlainMatrices()::slopes : SlopesBy::product;
    }

    private interface Slopes {
      double[] of(double[] at, double[][] rows);
    }

    /** The product of rows and centred steps, without what gaps and large values would need. */
    private static double[] product(double[] at, double[][] rows) {
      double mean = Arrays.stream(at).average().orElseThrow();
      double[] centred = Arrays.stream(at).map(step -> step - mean).toArray();
      double squares = Arrays.stream(centred).map(step -> step * step).sum();
      try (INDArray matrix = Nd4j.createFromArray(rows);
          INDArray steps = Nd4j.createFromArray(centred);
          INDArray slopes = Nd4j.createUninitialized(DataType.DOUBLE, rows.length)) {
        matrix.mmuli(steps, slopes).divi(squares);
        return slopes.data().asDouble();
      }
    }
  }

  /** A window of steps, with loss and learning rate. */
  @State(Scope.Benchmark)
  public static class Window {
    @Param({"12", "128", "1137"})
    public int layers;

    /** none; common: a step and a stage are missing; own: each layer lacks steps of its own. */
    @Param({"none", "common", "own"})
    public String gaps;

    private double[] steps;
    private double[][] rows;
    private double[][] scalars;

    @Setup
    public void draw() {
      Random random = new Random(layers);
      steps = random.doubles(STEPS).toArray();
      Arrays.setAll(steps, t -> t);
      scalars = new double[][] {random.doubles(STEPS).toArray(), random.doubles(STEPS).toArray()};
      rows = new double[layers][];
      for (int i = 0; i < layers; i++) {
        rows[i] = random.doubles(STEPS).toArray();
        if (gaps.equals("common")) {
          rows[i][50] = Double.NaN;
          if (4 * i < layers) {
            rows[i][70] = Double.NaN;
          }
        }
        if (gaps.equals("own")) {
          rows[i][random.nextInt(STEPS)] = Double.NaN;
          rows[i][random.nextInt(STEPS)] = Double.NaN;
        }
      }
    }
  }

  /** Sketches of a step. */
  @State(Scope.Benchmark)
  public static class Ranks {
    @Param({"8", "64", "256"})
    public int ranks;

    private float[][] sketches;

    @Setup
    public void draw() {
      Random random = new Random(ranks);
      double[] common = random.doubles(WIDTH).toArray();
      sketches = new float[ranks][WIDTH];
      for (float[] sketch : sketches) {
        for (int k = 0; k < WIDTH; k++) {
          sketch[k] = (float) (common[k] + random.nextGaussian());
        }
      }
    }
  }
}
