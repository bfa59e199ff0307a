package io.gradflow.benchmarks;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.util.Statistics;

/**
 * Medians of what was measured: a row for each case, a column for each of those compared, and how
 * much the last is faster than the first.
 */
final class Table {
  /** The parameter that says who is measured; the others say on what. */
  static final String BY = "by";

  private final List<String> cases;
  private final Map<List<String>, Map<String, Statistics>> rows = new LinkedHashMap<>();
  private final String name;

  private Table(String name, List<String> cases) {
    this.name = name;
    this.cases = cases;
  }

  /** The table of the results of one benchmark, at least one, in microseconds. */
  static Table of(String name, Collection<RunResult> results) {
    BenchmarkParams any = results.iterator().next().getParams();
    List<String> cases = new ArrayList<>(new TreeSet<>(any.getParamsKeys()));
    cases.remove(BY);
    Table table = new Table(name, cases);
    for (RunResult result : results) {
      BenchmarkParams params = result.getParams();
      table
          .rows
          .computeIfAbsent(
              cases.stream().map(params::getParam).toList(), row -> new LinkedHashMap<>())
          .put(params.getParam(BY), result.getPrimaryResult().getStatistics());
    }
    return table;
  }

  @Override
  public String toString() {
    List<List<String>> lines = new ArrayList<>();
    List<String> head = new ArrayList<>(cases);
    rows.values().iterator().next().keySet().forEach(by -> head.add(by + ", µs"));
    head.add("times faster");
    lines.add(head);
    rows.forEach(
        (row, measured) -> {
          List<String> line = new ArrayList<>(row);
          List<Double> medians =
              measured.values().stream().map(statistics -> statistics.getPercentile(50)).toList();
          medians.forEach(median -> line.add(figures(median)));
          line.add("%.2g".formatted(medians.get(0) / medians.get(medians.size() - 1)));
          lines.add(line);
        });
    return name + "\n" + aligned(lines);
  }

  private static String figures(double micros) {
    return micros < 100 ? "%.1f".formatted(micros) : "%,.0f".formatted(micros);
  }

  /** The lines, their columns aligned to the right. */
  static String aligned(List<List<String>> lines) {
    StringBuilder text = new StringBuilder();
    for (List<String> line : lines) {
      for (int column = 0; column < line.size(); column++) {
        int at = column;
        int width = lines.stream().mapToInt(each -> each.get(at).length()).max().orElse(0);
        text.append("  ").append(" ".repeat(width - line.get(at).length())).append(line.get(at));
      }
      text.append('\n');
    }
    return text.toString();
  }
}
