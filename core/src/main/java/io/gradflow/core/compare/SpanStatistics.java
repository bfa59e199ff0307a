package io.gradflow.core.compare;

import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepParts;
import io.gradflow.core.shard.Layer;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Every layer and the run as a whole over a span of steps.
 *
 * <p>Guaranteed: the result does not depend on the order of the steps beyond rounding; a step read
 * twice counts once; memory is bounded by layers and measures, some 400 bytes each, whatever the
 * number of steps. A layer is left out of a step, and that is counted, if less than nine tenths of
 * it were received, or if it is not finite.
 */
public final class SpanStatistics {
  /** Of a layer: with less than this its norm is too uncertain to compare. */
  static final double MIN_COMPLETENESS = 0.9;

  private final SpanSteps span;
  private final BitSet read = new BitSet();
  private final Map<String, LayerStatistics> layers = new LinkedHashMap<>();
  private final Map<RunMeasure, BatchMeans> run = new EnumMap<>(RunMeasure.class);

  /**
   * Of no step yet.
   *
   * @param span the steps that will count
   */
  public SpanStatistics(SpanSteps span) {
    this.span = span;
  }

  /**
   * Of steps that are all of one manifest, whole or in parts; those outside the span are passed
   * over.
   *
   * @param layers of the manifest
   */
  public static SpanStatistics of(List<Layer> layers, SpanSteps span, List<Step> steps) {
    var statistics = new SpanStatistics(span);
    StepParts waiting = StepParts.NONE;
    for (Step step : steps) {
      StepParts.Addition addition = waiting.add(step);
      waiting = addition.state();
      if (!addition.whole().isEmpty()) {
        statistics.add(layers, addition.whole());
      }
    }
    return statistics;
  }

  /** The steps that count. */
  public SpanSteps span() {
    return span;
  }

  /** How many of them were read. */
  public int stepsRead() {
    return read.cardinality();
  }

  /**
   * Reads a step.
   *
   * @param manifest the layers of the manifest that the step refers to
   * @param parts all of them, as {@link StepParts} joins them
   * @return false if it is not in the span, or was read before
   */
  public boolean add(List<Layer> manifest, List<Step> parts) {
    Step head = parts.get(0);
    int ordinal = span.ordinal(head);
    if (ordinal < 0 || read.get(ordinal)) {
      return false;
    }
    read.set(ordinal);
    boolean complete = true;
    for (Step part : parts) {
      for (int i = 0; i < part.norms().size(); i++) {
        int index = part.firstLayer() + i;
        Layer layer = manifest.get(index);
        double received = received(part, index);
        complete &= received >= MIN_COMPLETENESS;
        layers
            .computeIfAbsent(layer.name(), name -> new LayerStatistics(span.size()))
            .add(ordinal, new LayerReading(part, i, layer, received), isFinite(part, index));
      }
    }
    for (RunMeasure measure : RunMeasure.values()) {
      // Of an incomplete gradient the norm is a lower bound.
      boolean known = complete || measure != RunMeasure.GLOBAL_NORM;
      double value = known ? measure.of(head) : Double.NaN;
      run.computeIfAbsent(measure, first -> new BatchMeans(span.size())).add(ordinal, value);
    }
    return true;
  }

  /** By name, in the order of the manifest. */
  Map<String, LayerStatistics> layers() {
    return Collections.unmodifiableMap(layers);
  }

  Estimate estimate(RunMeasure measure) {
    return run.getOrDefault(measure, new BatchMeans(span.size())).estimate();
  }

  private static double received(Step step, int layer) {
    int at =
        step.incompleteLayers() == null ? -1 : Arrays.binarySearch(step.incompleteLayers(), layer);
    return at < 0 ? 1 : step.incompleteCompleteness()[at];
  }

  private static boolean isFinite(Step step, int layer) {
    return step.norms().nonFinite() == null
        || Arrays.binarySearch(step.norms().nonFinite().layers(), layer) < 0;
  }
}
