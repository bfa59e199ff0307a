package io.gradflow.core.compare;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.signal.DepthProfile;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What differs between two spans of steps, of one run or of two. Layers are paired by name.
 *
 * @param layers that both have, from the input on
 * @param run by measure, those that either span has
 * @param onlyBefore names of layers that only the first span has
 * @param onlyAfter names of layers that only the second span has
 */
public record Comparison(
    List<LayerChange> layers,
    Map<RunMeasure, Change> run,
    List<String> onlyBefore,
    List<String> onlyAfter) {

  /** Compares. */
  public static Comparison of(SpanStatistics before, SpanStatistics after) {
    List<String> paired =
        after.layers().keySet().stream().filter(before.layers()::containsKey).toList();
    Map<String, Map<Measure, Change>> changes = changes(paired, before, after);
    List<LayerChange> layers = new ArrayList<>();
    for (String name : paired) {
      layers.add(
          new LayerChange(
              after.layers().get(name).layer(),
              Collections.unmodifiableMap(changes.get(name)),
              before.layers().get(name).leftOut(),
              after.layers().get(name).leftOut()));
    }
    layers.sort(Comparator.comparing(change -> depth(change.layer())));
    return new Comparison(
        List.copyOf(layers), runChanges(before, after), only(before, after), only(after, before));
  }

  /** Layers whose gradient's magnitude changed significantly. */
  public List<LayerChange> changed() {
    return layers.stream().filter(layer -> layer.rms().isSignificant()).toList();
  }

  /** The layer whose gradient's magnitude differs most, significantly or not; null if none does. */
  public LayerChange mostDifferent() {
    return Sentence.mostDifferent(layers);
  }

  /** The weights of known depth, from the input to the loss. */
  public List<LayerChange> weightsByDepth() {
    return layers.stream()
        .filter(change -> change.layer().kind() == LayerKind.WEIGHT)
        .filter(change -> change.layer().depth() != null)
        .toList();
  }

  /** How the mean gradient fares over {@link #weightsByDepth}; null if too few are known. */
  public DepthProfile depthBefore() {
    return depthProfile(change -> change.rms().before());
  }

  /** Likewise. */
  public DepthProfile depthAfter() {
    return depthProfile(change -> change.rms().after());
  }

  private DepthProfile depthProfile(Function<LayerChange, Estimate> side) {
    List<LayerChange> weights = weightsByDepth();
    return DepthProfile.of(
        weights.stream().mapToDouble(weight -> side.apply(weight).mean()).toArray(),
        weights.stream().mapToInt(weight -> weight.layer().depth()).toArray());
  }

  /** What changed, in one plain sentence. */
  public String sentence() {
    return new Sentence(this).toString();
  }

  private static Map<String, Map<Measure, Change>> changes(
      List<String> paired, SpanStatistics before, SpanStatistics after) {
    Map<String, Map<Measure, Change>> changes = new HashMap<>();
    paired.forEach(name -> changes.put(name, new EnumMap<>(Measure.class)));
    for (Measure measure : Measure.values()) {
      Map<String, Change> family = new LinkedHashMap<>();
      for (String name : paired) {
        Change change =
            Change.between(
                before.layers().get(name).estimate(measure),
                after.layers().get(name).estimate(measure));
        if (measure == Measure.RMS || isKnown(change)) {
          family.put(name, change);
        }
      }
      Change.family(family).forEach((name, change) -> changes.get(name).put(measure, change));
    }
    return changes;
  }

  private static Map<RunMeasure, Change> runChanges(SpanStatistics before, SpanStatistics after) {
    Map<RunMeasure, Change> changes = new LinkedHashMap<>();
    for (RunMeasure measure : RunMeasure.values()) {
      Change change = Change.between(before.estimate(measure), after.estimate(measure));
      if (isKnown(change)) {
        changes.put(measure, change);
      }
    }
    return Collections.unmodifiableMap(Change.family(changes));
  }

  private static boolean isKnown(Change change) {
    return change.before().steps() > 0 || change.after().steps() > 0;
  }

  private static int depth(Layer layer) {
    return layer.depth() == null ? Integer.MAX_VALUE : layer.depth();
  }

  private static List<String> only(SpanStatistics one, SpanStatistics other) {
    return one.layers().keySet().stream()
        .filter(name -> !other.layers().containsKey(name))
        .toList();
  }
}
