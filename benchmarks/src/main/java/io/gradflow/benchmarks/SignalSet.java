package io.gradflow.benchmarks;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.SignalColumns;
import java.util.Locale;

/** What shards say beside norms: nothing, one group of signals, or all of them. */
public enum SignalSet {
  NORMS,
  MOMENTS,
  WEIGHTS,
  HISTOGRAM,
  SKETCH,
  HASH,
  DOTS,
  ACTIVATIONS,
  ALL;

  /** As it is written in tables. */
  String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The columns with these of their signals. */
  LayerColumns of(LayerColumns columns) {
    SignalColumns all = columns.signals();
    return columns.with(
        new SignalColumns(
                has(MOMENTS) ? all.sum() : null,
                has(MOMENTS) ? all.subnormals() : null,
                has(MOMENTS) ? all.minNonzeroAbs() : null,
                has(WEIGHTS) ? all.weightNorm() : null,
                has(WEIGHTS) ? all.updateNorm() : null,
                has(DOTS) ? all.dotPrevious() : null,
                has(DOTS) ? all.dotReduced() : null,
                has(ACTIVATIONS) ? all.activations() : null,
                has(ACTIVATIONS) ? all.saturated() : null,
                has(HASH) ? all.contentHash() : null,
                has(HISTOGRAM) ? all.histograms() : null,
                has(SKETCH) ? all.sketches() : null)
            .orNull());
  }

  private boolean has(SignalSet group) {
    return this == group || this == ALL;
  }
}
