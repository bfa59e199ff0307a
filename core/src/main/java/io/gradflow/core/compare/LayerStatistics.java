package io.gradflow.core.compare;

import io.gradflow.core.shard.Layer;
import java.util.EnumMap;
import java.util.Map;

/** One layer over a span. */
final class LayerStatistics {
  private final int span;
  private final Map<Measure, BatchMeans> series = new EnumMap<>(Measure.class);
  private Layer layer;
  private int incomplete;
  private int nonFinite;
  private int zero;
  private int absent;

  LayerStatistics(int span) {
    this.span = span;
  }

  /** As the newest manifest read describes it. */
  Layer layer() {
    return layer;
  }

  LeftOut leftOut() {
    return new LeftOut(incomplete, nonFinite, zero, absent);
  }

  Estimate estimate(Measure measure) {
    return series.getOrDefault(measure, new BatchMeans(span)).estimate();
  }

  /** Reads the layer in a step. */
  void add(int ordinal, LayerReading reading, boolean finite) {
    layer = reading.layer();
    if (reading.received() < SpanStatistics.MIN_COMPLETENESS) {
      incomplete++;
    } else if (!finite) {
      nonFinite++;
    } else if (Double.isNaN(reading.rms())) {
      absent++;
    } else {
      zero += reading.rms() == 0 ? 1 : 0;
      for (Measure measure : Measure.values()) {
        double value = measure.of(reading);
        if (!Double.isNaN(value)) {
          series.computeIfAbsent(measure, first -> new BatchMeans(span)).add(ordinal, value);
        }
      }
    }
  }
}
