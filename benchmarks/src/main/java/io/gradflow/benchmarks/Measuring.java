package io.gradflow.benchmarks;

import java.io.PrintWriter;
import java.io.Writer;
import java.util.Collection;
import java.util.List;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.BenchmarkList;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;

/** Runs benchmarks by JMH. */
final class Measuring {
  private final Progress progress;
  private final Options options;

  private Measuring(Progress progress, ChainedOptionsBuilder options) {
    this.progress = progress;
    this.options = options.shouldFailOnError(true).build();
  }

  /** Each benchmark in JVMs of its own, as long as it says. */
  static Measuring thorough(PrintWriter progress) {
    return new Measuring(new Progress(progress), new OptionsBuilder().jvmArgs("-Xmx2g"));
  }

  /** Each benchmark once in this JVM, on the smallest cases: whether it works, not how fast. */
  static Measuring once(PrintWriter progress) {
    return new Measuring(
        new Progress(progress),
        new OptionsBuilder()
            .forks(0)
            .warmupIterations(0)
            .measurementIterations(1)
            .measurementTime(TimeValue.milliseconds(1))
            .param("layers", "12")
            .param("elements", "64")
            .param("ranks", "8", "64"));
  }

  /** The names of a class's benchmarks, in alphabetical order. */
  static List<String> names(Class<?> benchmarks) {
    return BenchmarkList.defaultList()
        .getAll(new Progress(new PrintWriter(Writer.nullWriter())), List.of())
        .stream()
        .filter(benchmark -> benchmark.getUserClassQName().equals(benchmarks.getName()))
        .map(benchmark -> Progress.nameOf(benchmark.getUsername()))
        .sorted()
        .toList();
  }

  /** Measures one benchmark, and returns the table of it. */
  Object table(String name) throws RunnerException {
    Collection<RunResult> results =
        new Runner(
                new OptionsBuilder().parent(options).include("\\." + name + "$").build(), progress)
            .run();
    Collection<String> cases = results.iterator().next().getParams().getParamsKeys();
    if (cases.contains(Table.BY)) {
      return Table.of(name, results);
    }
    return cases.contains(WaitTable.BY) ? WaitTable.of(name, results) : CostTable.of(name, results);
  }
}
