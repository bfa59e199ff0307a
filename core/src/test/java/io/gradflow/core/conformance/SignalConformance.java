package io.gradflow.core.conformance;

import io.gradflow.core.conformance.Composition.Signal;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Holds the signals of a step against the known gradient: what is said must be right, and what
 * columns carry of a whole layer must be said.
 */
final class SignalConformance {
  /** Of single columns: they are floats on the wire. */
  private static final double ROUNDING = 2e-7;

  /** Of what follows from differences of squared norms. */
  private static final double OF_DIFFERENCES = 2e-6;

  private final Composition composition;
  private final Composition.Model model;
  private final KnownGradient gradient;
  private final KnownGradient previous;
  private final Step step;
  private final List<Expectation> expectations;
  private final Differences differences;

  /** Where a value that is not as expected is noted. */
  interface Differences {
    void note(String what, Object expected, Object actual);
  }

  SignalConformance(
      Composition composition,
      Composition.Model model,
      KnownGradient gradient,
      Step step,
      List<Expectation> expectations,
      Differences differences) {
    this.composition = composition;
    this.model = model;
    this.gradient = gradient;
    this.step = step;
    this.expectations = expectations;
    this.differences = differences;
    long before = composition.previousStep(step.id().step());
    boolean follows = composition.every() > 0 && before >= 0 && before % composition.every() == 0;
    previous = follows ? new KnownGradient(composition, before) : null;
  }

  void judge() {
    StepSignals signals = step.signals();
    for (int layer = 0; layer < expectations.size(); layer++) {
      Tensor tensor = model.tensors().get(layer);
      boolean whole =
          expectations.get(layer).refusal() == null
              && expectations.get(layer).received() == tensor.elements();
      boolean unscaledExactly = Math.getExponent(scale()) == log2(scale());
      judge(Signal.SUM, layer, whole, signals.mean(), () -> mean(tensor), absolute(tensor));
      judge(
          Signal.MIN_NONZERO_ABS,
          layer,
          whole && hasNonzero(tensor),
          signals.minNonzeroAbs(),
          () -> least(tensor),
          ROUNDING * least(tensor));
      judgeNorm(Signal.WEIGHT_NORM, "weight", layer, whole, signals.weightNorm());
      judgeNorm(Signal.UPDATE_NORM, "update", layer, whole, signals.updateNorm());
      judgeCount(Signal.SUBNORMALS, 3, layer, whole, signals.subnormals());
      judgeCount(Signal.ACTIVATIONS, 2, layer, whole, signals.saturated());
      judgeCosine(layer, whole, signals.cosine());
      judgeHistogram(layer, whole && unscaledExactly);
      judgeNoise(layer, whole);
    }
    // The generator hashes by its own rule what it sends as columns.
    if (signals.mismatchedLayers() != null && composition.form() != Composition.Form.MIXED) {
      differences.note("layers with different copies", null, signals.mismatchedLayers().length);
    }
    judgeCoherence();
  }

  private double scale() {
    return gradient.scale(Stage.REDUCED);
  }

  private static double log2(double value) {
    return Math.log(value) / Math.log(2);
  }

  private interface Value {
    double get();
  }

  /** Columns carry it; raw values are measured for what they are worth. */
  private boolean isSaid(Signal signal) {
    return composition.form() == Composition.Form.COLUMNS && composition.signals().contains(signal);
  }

  private void judge(
      Signal signal, int layer, boolean whole, double[] column, Value expected, double tolerance) {
    double actual = column == null ? Double.NaN : column[layer];
    boolean known = !Double.isNaN(actual);
    String what = signal + " of " + model.tensors().get(layer).layer().name();
    if (known ? !whole : whole && isSaid(signal)) {
      differences.note(what, whole ? expected.get() : "nothing", actual);
    } else if (known && !(Math.abs(actual - expected.get()) <= tolerance)) {
      differences.note(what, expected.get(), actual);
    }
  }

  private double mean(Tensor tensor) {
    return sum(tensor, i -> gradient.reduced(tensor)[i]) / tensor.elements();
  }

  /** Slices' sums cancel, their rounding does not. */
  private double absolute(Tensor tensor) {
    double[] values = gradient.reduced(tensor);
    return ROUNDING * sum(tensor, i -> Math.abs(values[i])) / tensor.elements();
  }

  private boolean hasNonzero(Tensor tensor) {
    double[] values = gradient.reduced(tensor);
    return IntStream.range(0, values.length).anyMatch(i -> values[i] != 0);
  }

  private double least(Tensor tensor) {
    double[] values = gradient.reduced(tensor);
    return IntStream.range(0, values.length)
        .mapToDouble(i -> Math.abs(values[i]))
        .filter(size -> size > 0)
        .min()
        .orElse(Double.NaN);
  }

  private void judgeNorm(Signal signal, String what, int layer, boolean whole, double[] column) {
    Tensor tensor = model.tensors().get(layer);
    double norm =
        Math.sqrt(
            sum(
                tensor,
                i -> {
                  double value = KnownGradient.ofElement(tensor, i, what);
                  return value * value;
                }));
    // Weights of a layer are known even where its gradient is not finite.
    boolean received = expectations.get(layer).received() == tensor.elements();
    judge(signal, layer, whole || received, column, () -> norm, ROUNDING * norm);
  }

  private void judgeCount(Signal signal, int every, int layer, boolean whole, long[] column) {
    Tensor tensor = model.tensors().get(layer);
    long expected = IntStream.range(0, tensor.elements()).filter(i -> i % every == 0).count();
    boolean known = column != null && column[layer] >= 0;
    if (known ? column[layer] != expected : whole && isSaid(signal)) {
      // Raw values are counted for what they are: none of them is subnormal.
      if (composition.form() == Composition.Form.COLUMNS) {
        differences.note(signal + " of " + tensor.layer().name(), expected, known);
      }
    }
  }

  private void judgeCosine(int layer, boolean whole, float[] column) {
    Tensor tensor = model.tensors().get(layer);
    double cosine = Double.NaN;
    if (whole && previous != null) {
      double[] now = gradient.reduced(tensor);
      double[] then = previous.reduced(tensor);
      cosine =
          sum(tensor, i -> now[i] * then[i])
              / Math.sqrt(sum(tensor, i -> now[i] * now[i]) * sum(tensor, i -> then[i] * then[i]));
    }
    double actual = column == null ? Double.NaN : column[layer];
    boolean right =
        Double.isNaN(actual)
            ? Double.isNaN(cosine) || !isSaid(Signal.DOT_PREVIOUS)
            : Math.abs(actual - cosine) <= 4 * ROUNDING;
    if (!right && composition.absent() < 0) {
      differences.note("cosine of " + tensor.layer().name(), cosine, actual);
    }
  }

  private void judgeHistogram(int layer, boolean whole) {
    Tensor tensor = model.tensors().get(layer);
    var histograms = step.signals().histograms();
    Octaves actual = histograms == null ? null : histograms.layer(layer);
    float[] values = new float[tensor.elements()];
    double[] reduced = gradient.reduced(tensor);
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) reduced[i];
    }
    Octaves expected = PublishedSignals.octaves(values);
    boolean alike =
        actual == null
            ? !whole || !isSaid(Signal.HISTOGRAMS)
            : whole
                && Arrays.equals(actual.bins(), expected.bins())
                && Arrays.equals(actual.counts(), expected.counts());
    if (!alike) {
      differences.note("histogram of " + tensor.layer().name(), expected, actual);
    }
  }

  /** The mean dot product of two workers' gradients, and the variance that samples have. */
  private void judgeNoise(int layer, boolean whole) {
    int workers = composition.workers();
    if (composition.absent() >= 0) {
      return;
    }
    Tensor tensor = model.tensors().get(layer);
    double[] squares = step.signals().gradientSquare();
    double actual = squares == null ? Double.NaN : squares[layer];
    boolean expected = whole && composition.local() && workers > 1;
    if (!expected) {
      if (!Double.isNaN(actual)) {
        differences.note("mean dot product in " + tensor.layer().name(), "none", actual);
      }
      return;
    }
    double[] total = new double[tensor.elements()];
    double ownDots = 0;
    for (int worker = 0; worker < workers; worker++) {
      double[] values = gradient.local(tensor, worker);
      for (int i = 0; i < total.length; i++) {
        total[i] += values[i];
        ownDots += values[i] * values[i];
      }
    }
    double meanSquare = ownDots / workers;
    double dots = (sum(tensor, i -> total[i] * total[i]) - ownDots) / workers / (workers - 1);
    double tolerance = OF_DIFFERENCES * meanSquare;
    if (!(Math.abs(actual - dots) <= tolerance)) {
      differences.note("mean dot product in " + tensor.layer().name(), dots, actual);
    }
    // Of one sample a worker: the unbiased variance of the workers' gradients.
    double trace = meanSquare - dots;
    double[] traces = step.signals().noiseTrace();
    double said = traces == null ? Double.NaN : traces[layer];
    if (!(Math.abs(said - trace) <= tolerance)) {
      differences.note("noise in " + tensor.layer().name(), trace, said);
    }
  }

  /** Of ranks that hold all of everything: the cosine of each with the mean of the others. */
  private void judgeCoherence() {
    boolean told =
        composition.workers() == composition.worldSize()
            && composition.workers() > 1
            && composition.local()
            && isSaid(Signal.DOT_REDUCED)
            && composition.absent() < 0
            && model.tensors().stream().noneMatch(Tensor::isOptional)
            && expectations.stream().allMatch(e -> e.refusal() == null);
    if (!told) {
      return;
    }
    int workers = composition.workers();
    for (int rank = 0; rank < workers; rank++) {
      int own = composition.worker(composition.coords(rank));
      double dot = 0;
      double square = 0;
      double others = 0;
      for (Tensor tensor : model.tensors()) {
        double[] mine = gradient.local(tensor, own);
        double[] rest = new double[mine.length];
        for (int worker = 0; worker < workers; worker++) {
          double[] theirs = gradient.local(tensor, worker);
          for (int i = 0; i < rest.length && worker != own; i++) {
            rest[i] += theirs[i] / (workers - 1);
          }
        }
        dot += sum(tensor, i -> mine[i] * rest[i]);
        square += sum(tensor, i -> mine[i] * mine[i]);
        others += sum(tensor, i -> rest[i] * rest[i]);
      }
      double cosine = dot / Math.sqrt(square * others);
      float[] coherence = step.evidence().comparison().coherence();
      if (coherence == null || !(Math.abs(coherence[rank] - cosine) <= 1e-4)) {
        differences.note(
            "coherence of rank " + rank, cosine, coherence == null ? "none" : coherence[rank]);
      }
    }
  }

  private static double sum(Tensor tensor, IntToDoubleFunction value) {
    return IntStream.range(0, tensor.elements()).mapToDouble(value).sum();
  }
}
