package io.gradflow.core.conformance;

import io.gradflow.core.conformance.Composition.Signal;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntToDoubleFunction;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;

/** What a rank says of its slices beside norms. */
final class PublishedSignals {
  private final Composition composition;
  private final KnownGradient gradient;
  private final KnownGradient previous;
  private final Stage stage;

  /**
   * @param previous gradient of the step published before; null at the first
   */
  PublishedSignals(
      Composition composition, KnownGradient gradient, KnownGradient previous, Stage stage) {
    this.composition = composition;
    this.gradient = gradient;
    this.previous = previous;
    this.stage = stage;
  }

  /**
   * The columns of some slices; null if the composition carries none.
   *
   * @param values that the rank holds, aligned with the slices
   */
  SignalColumns columns(List<Tensor> tensors, List<Tensor.Slice> slices, List<float[]> values) {
    if (composition.signals().isEmpty()) {
      return null;
    }
    var row = new Row[tensors.size()];
    for (int i = 0; i < row.length; i++) {
      row[i] = new Row(tensors.get(i), slices.get(i), values.get(i));
    }
    return new SignalColumns(
            floats(Signal.SUM, Stage.REDUCED, row, Row::sum),
            longs(Signal.SUBNORMALS, row, r -> r.count(3)),
            floats(Signal.MIN_NONZERO_ABS, Stage.REDUCED, row, Row::minNonzeroAbs),
            floats(Signal.WEIGHT_NORM, Stage.REDUCED, row, r -> r.norm("weight")),
            floats(Signal.UPDATE_NORM, Stage.REDUCED, row, r -> r.norm("update")),
            floats(Signal.DOT_PREVIOUS, Stage.REDUCED, row, r -> r.dot(previous)),
            floats(Signal.DOT_REDUCED, Stage.LOCAL, row, r -> r.dot(gradient)),
            longs(Signal.ACTIVATIONS, row, r -> 4L * r.values.length),
            longs(Signal.ACTIVATIONS, row, r -> r.count(2)),
            longs(Signal.CONTENT_HASH, row, r -> Arrays.hashCode(r.values)),
            histograms(row),
            null)
        .orNull();
  }

  private boolean carries(Signal signal, Stage of) {
    return stage == of && composition.signals().contains(signal);
  }

  private float[] floats(Signal signal, Stage of, Row[] rows, ToDoubleFunction<Row> value) {
    if (!carries(signal, of)) {
      return null;
    }
    float[] column = new float[rows.length];
    for (int i = 0; i < column.length; i++) {
      column[i] = (float) value.applyAsDouble(rows[i]);
    }
    return column;
  }

  private long[] longs(Signal signal, Row[] rows, ToLongFunction<Row> value) {
    return carries(signal, Stage.REDUCED) ? Arrays.stream(rows).mapToLong(value).toArray() : null;
  }

  private Histograms histograms(Row[] rows) {
    return carries(Signal.HISTOGRAMS, Stage.REDUCED)
        ? Histograms.of(Arrays.stream(rows).map(row -> octaves(row.values)).toList())
        : null;
  }

  /** Counts by octave, one value after the other. */
  static Octaves octaves(float[] values) {
    Map<Integer, Long> counts = new TreeMap<>();
    for (float value : values) {
      if (value != 0 && Float.isFinite(value)) {
        counts.merge((int) Math.floor(Math.log(Math.abs(value)) / Math.log(2)), 1L, Long::sum);
      }
    }
    return new Octaves(
        counts.keySet().stream().mapToInt(Integer::intValue).toArray(),
        counts.values().stream().mapToLong(Long::longValue).toArray());
  }

  /** One slice. */
  private final class Row {
    private final Tensor tensor;
    private final Tensor.Slice slice;
    private final float[] values;

    Row(Tensor tensor, Tensor.Slice slice, float[] values) {
      this.tensor = tensor;
      this.slice = slice;
      this.values = values;
    }

    double sum() {
      return sum(i -> Float.isFinite(values[i]) ? values[i] : 0);
    }

    double norm(String what) {
      return Math.sqrt(
          sum(
              i -> {
                double value = KnownGradient.ofElement(tensor, slice.from() + i, what);
                return value * value;
              }));
    }

    /** Every so many elements. */
    long count(int every) {
      return IntStream.range(slice.from(), slice.to()).filter(i -> i % every == 0).count();
    }

    double minNonzeroAbs() {
      double least = 0;
      for (float value : values) {
        double size = Math.abs(value);
        if (size > 0 && size <= Float.MAX_VALUE) {
          least = least == 0 ? size : Math.min(least, size);
        }
      }
      return least;
    }

    /** With a reduced gradient as if it had been multiplied by what this one is. */
    double dot(KnownGradient other) {
      if (other == null) {
        return Double.NaN;
      }
      double[] reduced = other.reduced(tensor);
      return sum(
          i -> {
            double product = values[i] * reduced[slice.from() + i] * gradient.scale(stage);
            return Double.isFinite(product) ? product : 0;
          });
    }

    private double sum(IntToDoubleFunction value) {
      return IntStream.range(0, values.length).mapToDouble(value).sum();
    }
  }
}
