package io.gradflow.benchmarks;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;

/**
 * What signals cost in time: a row for each set of them, for each case the median in nanoseconds of
 * an element or layer, and how many times that of norms alone it is.
 */
final class CostTable {
  /** The parameter that says what is measured. */
  private static final String SIGNALS = "signals";

  /** The parameters, one of which every benchmark has, whose number the time is divided by. */
  private static final List<String> SHARED_BY = List.of("elements", "layers");

  private final Map<String, Map<String, Double>> rows = new LinkedHashMap<>();
  private final String name;
  private final String sharedBy;

  private CostTable(String name, String sharedBy) {
    this.name = name;
    this.sharedBy = sharedBy;
  }

  /** The table of the results of one benchmark, at least one, in microseconds. */
  static CostTable of(String name, Collection<RunResult> results) {
    BenchmarkParams any = results.iterator().next().getParams();
    List<String> cases = new ArrayList<>(new TreeSet<>(any.getParamsKeys()));
    String sharedBy = SHARED_BY.stream().filter(cases::contains).findFirst().orElseThrow();
    cases.remove(SIGNALS);
    CostTable table = new CostTable(name, sharedBy);
    for (RunResult result : results) {
      BenchmarkParams params = result.getParams();
      double micros = result.getPrimaryResult().getStatistics().getPercentile(50);
      String column = String.join(" ", cases.stream().map(params::getParam).toList());
      table
          .rows
          .computeIfAbsent(params.getParam(SIGNALS), row -> new LinkedHashMap<>())
          .put(column, 1000 * micros / Integer.parseInt(params.getParam(sharedBy)));
    }
    return table;
  }

  @Override
  public String toString() {
    Map<String, Double> norms = rows.get(SignalSet.NORMS.name());
    List<List<String>> lines = new ArrayList<>();
    List<String> head = new ArrayList<>(List.of(SIGNALS));
    norms.keySet().forEach(column -> head.addAll(List.of(column, "of norms")));
    lines.add(head);
    rows.forEach(
        (signals, measured) -> {
          List<String> line = new ArrayList<>(List.of(signals.toLowerCase(Locale.ROOT)));
          measured.forEach(
              (column, nanos) -> {
                line.add("%.2f".formatted(nanos));
                line.add("%.2f".formatted(nanos / norms.get(column)));
              });
          lines.add(line);
        });
    return name + ", ns of each of the " + sharedBy + "\n" + Table.aligned(lines);
  }
}
