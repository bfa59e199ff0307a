package io.gradflow.benchmarks;

import io.gradflow.core.norm.Step;
import io.gradflow.core.signal.Octaves;
import java.util.concurrent.TimeUnit;
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

/** What the detectors of AlertJob take of a step, beside one z-score per layer. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class DetectBenchmarks {

  /** One step of a healthy run, all detectors. */
  @Benchmark
  public double detecting(Run run) {
    return run.signals.judge(run);
  }

  /** What judges, and what it is given. */
  public enum Judge {
    /** An exponentially weighted z-score of each layer's norm: what anybody would write. */
    LOOP,
    /** All detectors, of a run that publishes norms. */
    NORMS,
    /** All detectors, of one that publishes every signal, before and after the reduction. */
    ALL;

    private double judge(Run run) {
      return this == LOOP
          ? run.scores.highest(run.judged.step())
          : run.judged.judge().findings().orElseThrow().findings().size();
    }
  }

  /** A run under way. */
  @State(Scope.Benchmark)
  public static class Run {
    /**
     * As many as a model of 405 billion parameters has; and as a fine-grained mixture of experts.
     */
    @Param({"1137", "20000"})
    public int layers;

    @Param public Judge signals;

    private JudgedRun judged;
    private Scores scores;

    @Setup
    public void open() {
      boolean all = signals == Judge.ALL;
      judged = new JudgedRun(layers, all ? SignalSet.ALL : SignalSet.NORMS, all);
      scores = new Scores(layers);
    }
  }

  private static final class Scores {
    private static final double GAIN = 0.02;

    private final double[] mean;
    private final double[] variance;

    Scores(int layers) {
      mean = new double[layers];
      variance = new double[layers];
    }

    double highest(Step step) {
      double highest = 0;
      for (int layer = 0; layer < mean.length; layer++) {
        double off = Octaves.log2(step.norms().rms()[layer]) - mean[layer];
        highest = Math.max(highest, off / Math.sqrt(variance[layer] + 1e-9));
        mean[layer] += GAIN * off;
        variance[layer] += GAIN * (off * off - variance[layer]);
      }
      return highest;
    }
  }
}
