package io.gradflow.benchmarks;

import java.io.PrintWriter;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.results.BenchmarkResult;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.format.OutputFormat;

/** A line for each case when it begins, and what it came to. */
final class Progress implements OutputFormat {
  private final PrintWriter writer;

  Progress(PrintWriter writer) {
    this.writer = writer;
  }

  /** The short name of a benchmark: that of its method. */
  static String nameOf(String benchmark) {
    return benchmark.substring(benchmark.lastIndexOf('.') + 1);
  }

  @Override
  public void startBenchmark(BenchmarkParams params) {
    Map<String, String> cases = new TreeMap<>();
    params.getParamsKeys().forEach(key -> cases.put(key, params.getParam(key)));
    writer.print("measuring " + nameOf(params.getBenchmark()) + " " + cases + ": ");
    writer.flush();
  }

  @Override
  public void endBenchmark(BenchmarkResult result) {
    if (result != null) {
      writer.printf(
          "%.1f %s%n",
          result.getPrimaryResult().getStatistics().getPercentile(50),
          result.getPrimaryResult().getScoreUnit());
      writer.flush();
    }
  }

  /**
   * JMH's own words are of interest only where something failed, and then an exception has them.
   */
  @Override
  public void println(String line) {}

  @Override
  public void print(String text) {}

  @Override
  public void verbosePrintln(String line) {}

  @Override
  public void iteration(BenchmarkParams benchmark, IterationParams params, int iteration) {}

  @Override
  public void iterationResult(
      BenchmarkParams benchmark, IterationParams params, int iteration, IterationResult result) {}

  @Override
  public void startRun() {}

  @Override
  public void endRun(Collection<RunResult> results) {}

  @Override
  public void flush() {}

  @Override
  public void close() {}

  @Override
  public void write(int character) {}

  @Override
  public void write(byte[] characters) {}
}
