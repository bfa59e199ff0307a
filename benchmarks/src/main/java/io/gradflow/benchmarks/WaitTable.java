package io.gradflow.benchmarks;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.util.Statistics;

/** How long somebody waits: a row for each case, and the seldom long ones beside the median. */
final class WaitTable {
  /** The parameter that says whom is waited for. */
  static final String BY = "through";

  private static final double[] PERCENTILES = {50, 99, 99.9};

  private final List<List<String>> lines = new ArrayList<>();
  private final String name;

  private WaitTable(String name) {
    this.name = name;
  }

  /** The table of the results of one benchmark, at least one, in microseconds. */
  static WaitTable of(String name, Collection<RunResult> results) {
    WaitTable table = new WaitTable(name);
    List<String> cases =
        new ArrayList<>(new TreeSet<>(results.iterator().next().getParams().getParamsKeys()));
    List<String> head = new ArrayList<>(cases);
    head.addAll(List.of("median, µs", "p99, µs", "p99.9, µs", "calls"));
    table.lines.add(head);
    for (RunResult result : results) {
      Statistics statistics = result.getPrimaryResult().getStatistics();
      List<String> line = new ArrayList<>();
      cases.forEach(
          each ->
              line.add(
                  result.getParams().getParam(each).toLowerCase(Locale.ROOT).replace('_', ' ')));
      for (double percentile : PERCENTILES) {
        line.add("%,.1f".formatted(statistics.getPercentile(percentile)));
      }
      line.add("%,d".formatted(statistics.getN()));
      table.lines.add(line);
    }
    return table;
  }

  @Override
  public String toString() {
    return name + "\n" + Table.aligned(lines);
  }
}
