package io.gradflow.cli;

import io.gradflow.core.matrix.Links;
import io.gradflow.jobs.JobSettings;
import io.gradflow.jobs.NormJob;
import io.gradflow.operators.analysis.Analysis;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * NormJob, and beside it a task that analyses a matrix and says by what. It runs until cancelled.
 */
public final class AnalysisJob {
  private AnalysisJob() {}

  /**
   * Runs the job.
   *
   * @param arguments where the task leaves its word, then NormJob's
   */
  public static void main(String[] arguments) throws Exception {
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    String[] ofNormJob = Arrays.copyOfRange(arguments, 1, arguments.length);
    NormJob.define(
        environment, JobSettings.resolve(ofNormJob, Map.of(), environment.getConfiguration()));
    environment
        .fromSequence(0, 0)
        .uid("once")
        .map(new Analyse(arguments[0]))
        .uid("analyse")
        .sinkTo(new DiscardingSink<>())
        .uid("discard");
    environment.execute("AnalysisJob");
  }

  private static final class Analyse extends RichMapFunction<Long, Long> {
    private final String file;

    Analyse(String file) {
      this.file = file;
    }

    @Override
    public Long map(Long seed) throws IOException, InterruptedException {
      double[][] rows = new double[400][];
      Arrays.setAll(rows, i -> new Random(i + seed).doubles(100).toArray());
      Arrays.setAll(rows[399], t -> t < 3 ? 0 : rows[0][t - 3]);
      Links links = Analysis.matrices().links(rows, 8);
      Path whole = Path.of(file + ".new");
      Files.writeString(
          whole,
          "%s: %d follows %d by %d"
              .formatted(
                  Analysis.matrices().getClass().getSimpleName(),
                  399,
                  links.partner()[399],
                  links.lag()[399]));
      Files.move(whole, Path.of(file));
      new CountDownLatch(1).await();
      return seed;
    }
  }
}
