package io.gradflow.cli;

import io.gradflow.cli.RunSnapshot.LayerTrace;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What one row of the view says: of one layer, or of several folded into the worst of each step, so
 * that nothing broken disappears by folding.
 *
 * <p>A change is the difference of two readings in octaves; what a reading says beside numbers
 * (zero, not finite, missing) a change says likewise.
 *
 * @param name of the layer, or of what is folded
 * @param named whether an open incident names one of the layers as its root
 * @param reading the newest, of the layer that has changed worst
 * @param change from the baseline to that reading; NaN where there is nothing to compare
 * @param changes of the last steps, the newest last
 */
record LayerRow(String name, boolean named, double reading, double change, List<Double> changes) {

  /** A row a layer if there is room, else one a block, else one for so many layers as it takes. */
  static List<LayerRow> fit(List<LayerTrace> layers, Set<String> named, int room) {
    if (layers.size() <= room) {
      return layers.stream().map(layer -> of(layer, named)).toList();
    }
    Map<String, List<LayerTrace>> blocks = new LinkedHashMap<>();
    for (LayerTrace layer : layers) {
      blocks.computeIfAbsent(layer.block(), block -> new ArrayList<>()).add(layer);
    }
    List<LayerRow> rows = new ArrayList<>();
    if (blocks.size() <= room) {
      blocks.forEach(
          (block, members) ->
              rows.add(
                  fold(
                      members.size() == 1
                          ? members.get(0).name()
                          : "%d× %s".formatted(members.size(), block),
                      members,
                      named)));
    } else if (room > 0) {
      int together = (layers.size() + room - 1) / room;
      for (int first = 0; first < layers.size(); first += together) {
        List<LayerTrace> members = layers.subList(first, Math.min(first + together, layers.size()));
        rows.add(fold("%d× %s".formatted(members.size(), members.get(0).name()), members, named));
      }
    }
    return rows;
  }

  private static LayerRow of(LayerTrace layer, Set<String> named) {
    double reference = reference(layer);
    List<Double> changes =
        layer.recent().stream().map(reading -> change(reference, reading)).toList();
    double reading =
        layer.recent().isEmpty()
            ? LayerTrace.MISSING
            : layer.recent().get(layer.recent().size() - 1);
    return new LayerRow(
        layer.name(),
        named.contains(layer.name()),
        reading,
        change(layer.baseline(), reading),
        changes);
  }

  /** While there is no baseline the shape is drawn around the first finite reading. */
  private static double reference(LayerTrace layer) {
    return Double.isNaN(layer.baseline())
        ? layer.recent().stream().filter(Double::isFinite).findFirst().orElse(0.0)
        : layer.baseline();
  }

  private static double change(double from, double reading) {
    return Double.isFinite(reading) ? reading - from : reading;
  }

  private static LayerRow fold(String name, List<LayerTrace> members, Set<String> named) {
    List<LayerRow> rows = members.stream().map(member -> of(member, named)).toList();
    LayerRow worst = rows.get(0);
    int length = 0;
    for (LayerRow row : rows) {
      worst = severity(row.change) > severity(worst.change) ? row : worst;
      length = Math.max(length, row.changes.size());
    }
    List<Double> changes = new ArrayList<>();
    for (int back = length; back >= 1; back--) {
      int steps = back;
      changes.add(
          rows.stream()
              .map(LayerRow::changes)
              .filter(own -> own.size() >= steps)
              .map(own -> own.get(own.size() - steps))
              .max(Comparator.comparingDouble(LayerRow::severity))
              .orElseThrow());
    }
    return new LayerRow(
        name, rows.stream().anyMatch(LayerRow::named), worst.reading, worst.change, changes);
  }

  /** Not finite is worst, then zero; missing is worse than quiet, but hides no real change. */
  private static double severity(double change) {
    if (Double.isNaN(change)) {
      return 0.5;
    }
    return change == Double.NEGATIVE_INFINITY ? Double.MAX_VALUE : Math.abs(change);
  }
}
