package io.gradflow.training.zoo;

import io.gradflow.core.shard.RunEvent;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Prints what families are like: sizes, time, and how often the oracle lets a fault count.
 * Arguments: first seed, seeds, and any number of families (none: all).
 */
final class FamilyTable {

  private FamilyTable() {}

  public static void main(String[] arguments) {
    int first = Integer.parseInt(arguments[0]);
    int seeds = Integer.parseInt(arguments[1]);
    List<Family> families =
        arguments.length > 2
            ? Arrays.stream(arguments).skip(2).map(Family::valueOf).toList()
            : List.of(Family.values());
    for (Family family : families) {
      List<Row> rows =
          IntStream.range(first, first + seeds)
              .parallel()
              .mapToObj(seed -> row(family, seed))
              .toList();
      rows.forEach(row -> System.out.println("  " + row));
      System.out.printf(
          Locale.ROOT,
          "%-22s layers %d-%d ranks %s steps %d-%d ms/step %.3f (max %.3f) runs %d layer-steps %d"
              + " ms %d count %d of %d%n",
          family.label(),
          rows.stream().mapToInt(Row::layers).min().orElse(0),
          rows.stream().mapToInt(Row::layers).max().orElse(0),
          rows.stream().map(Row::ranks).sorted().distinct().toList(),
          rows.stream().mapToInt(Row::steps).min().orElse(0),
          rows.stream().mapToInt(Row::steps).max().orElse(0),
          rows.stream().mapToDouble(Row::perStep).average().orElse(0),
          rows.stream().mapToDouble(Row::perStep).max().orElse(0),
          rows.size() * (family.healthy() ? 1 : 2),
          rows.stream().mapToLong(r -> (long) r.layers * r.steps).sum(),
          (long) rows.stream().mapToDouble(Row::millis).sum(),
          rows.stream().filter(r -> r.truth.excluded() == null).count(),
          rows.size());
    }
  }

  private static Row row(Family family, long seed) {
    Trial trial = family.draw(seed);
    ZooTraining start = trial.training();
    double initial = start.heldOutLoss();
    var last = new Losses();
    long begin = System.nanoTime();
    var ofTwin = new Losses();
    Truth truth = Oracle.run(trial, last, ofTwin);
    double millis = (System.nanoTime() - begin) / 1e6;
    double end = last.mean;
    return new Row(
        seed,
        start.parameters().size(),
        start.parameters().stream().mapToInt(Parameter::elements).sum(),
        trial.options().ranks(),
        trial.options().steps(),
        millis,
        millis / trial.options().steps() / (trial.twin() == null ? 1 : 2),
        initial,
        end,
        trial.twin() == null ? end : ofTwin.mean,
        last.skips,
        last.firstNonFinite,
        truth,
        trial.faults().toString());
  }

  private record Row(
      long seed,
      int layers,
      int elements,
      int ranks,
      int steps,
      double millis,
      double perStep,
      double initial,
      double end,
      double twinEnd,
      int skips,
      long firstNonFinite,
      Truth truth,
      String faults) {}

  private static final class Losses implements ZooObserver {
    private double mean = Double.NaN;
    private int skips;
    private long firstNonFinite = -1;

    @Override
    public void step(ZooStep step) {
      double loss = Arrays.stream(step.losses()).average().orElse(0);
      mean = Double.isNaN(mean) ? loss : .95 * mean + .05 * loss;
      skips += step.skipped() ? 1 : 0;
      if (firstNonFinite < 0 && !Double.isFinite(loss)) {
        firstNonFinite = step.step();
      }
    }

    @Override
    public void event(
        int attempt, int stream, long step, RunEvent.Type type, Map<String, String> attributes) {}
  }
}
