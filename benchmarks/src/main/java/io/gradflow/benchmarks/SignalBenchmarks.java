package io.gradflow.benchmarks;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.window.LayerWindow;
import java.util.EnumSet;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** What each group of signals takes in time, beside norms alone. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@org.openjdk.jmh.annotations.Measurement(
    iterations = 3,
    time = 500,
    timeUnit = TimeUnit.MILLISECONDS)
public class SignalBenchmarks {
  private static final int RANKS = 4;
  private static final int WINDOW = 100;

  /** One layer on the training's thread. */
  @Benchmark
  public double measuring(Gradient gradient) {
    return gradient.signals.measure(gradient);
  }

  /** One step of four ranks, from their shards to the step. */
  @Benchmark
  public Step merging(Run run) {
    return run.nextStep();
  }

  /** An open window of a hundred steps, as it is published every ten seconds. */
  @Benchmark
  public LayerWindow windowing(Window window) {
    return window.publish();
  }

  /** What is measured of a layer. */
  public enum Measured {
    /** The sum of squares by the plainest loop: what anybody pays who wants a norm. */
    LOOP,
    NORMS,
    MOMENTS,
    WEIGHTS,
    HISTOGRAM,
    SKETCH,
    HASH,
    DOTS,
    ALL;

    private double measure(Gradient gradient) {
      if (this == LOOP) {
        double squares = 0;
        for (float value : gradient.values) {
          squares += (double) value * value;
        }
        return squares;
      }
      LayerColumns columns = Measurement.of(groups(), gradient.slicing, gradient.values);
      double norm = columns.norm()[0];
      if (this == WEIGHTS || this == ALL) {
        norm += Measurement.norms(gradient.weights)[0] + Measurement.norms(gradient.updates)[0];
      }
      if (this == DOTS || this == ALL) {
        norm += Measurement.dot(gradient.values, gradient.previous);
        System.arraycopy(gradient.values, 0, gradient.previous, 0, gradient.values.length);
      }
      return norm;
    }

    private Set<SignalGroup> groups() {
      return switch (this) {
        case LOOP, NORMS -> Set.of();
        case ALL -> EnumSet.allOf(SignalGroup.class);
        default -> EnumSet.of(SignalGroup.valueOf(name()));
      };
    }
  }

  /** A layer's gradient, and what else of it is measured. */
  @State(Scope.Benchmark)
  public static class Gradient {
    @Param({"4096", "1048576"})
    public int elements;

    @Param public Measured signals;

    private final Slicing slicing =
        new Slicing("bench", 0, new Dtype[] {Dtype.FLOAT32}, new long[1]);
    private float[] values;
    private float[] previous;
    private float[] weights;
    private float[] updates;

    @Setup
    public void draw() {
      Random random = new Random(elements);
      values = normal(random);
      previous = normal(random);
      weights = normal(random);
      updates = normal(random);
    }

    private float[] normal(Random random) {
      float[] drawn = new float[elements];
      for (int i = 0; i < elements; i++) {
        drawn[i] = (float) random.nextGaussian();
      }
      return drawn;
    }
  }

  /** A run whose every step is like the first. */
  @State(Scope.Benchmark)
  public static class Run {
    /** As many as a model of 405 billion parameters has. */
    @Param("1137")
    public int layers;

    /** Whether ranks hold copies of the gradient or slices of it. */
    @Param({"REPLICATE", "SHARD"})
    public Placement placement;

    @Param public SignalSet signals;

    private Publication first;
    private NormMachines machines;
    private long nextStep;
    private Step last;

    @Setup
    public void open() {
      first = Publication.drawn(layers, 1024, RANKS, placement).with(signals);
      machines = new NormMachines(first.manifest(), step -> last = step, window -> {});
    }

    private Step nextStep() {
      for (Shard shard : first.shards()) {
        machines.shard(Publication.atStep(nextStep, shard));
      }
      nextStep++;
      return last;
    }
  }

  /** A window of a run of replicas. */
  @State(Scope.Benchmark)
  public static class Window {
    @Param("1137")
    public int layers;

    @Param public SignalSet signals;

    private NormMachines machines;
    private LayerWindow last;

    @Setup
    public void fill() {
      Publication first = Publication.drawn(layers, 1024, RANKS, Placement.REPLICATE).with(signals);
      machines =
          new NormMachines(first.manifest(), step -> machines.roll(step), window -> last = window);
      for (long step = 0; step < WINDOW; step++) {
        for (Shard shard : first.shards()) {
          machines.shard(Publication.atStep(step, shard));
        }
      }
    }

    private LayerWindow publish() {
      machines.publishWindow();
      return last;
    }
  }
}
