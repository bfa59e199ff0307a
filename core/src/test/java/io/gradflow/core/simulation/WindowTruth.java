package io.gradflow.core.simulation;

import static io.gradflow.core.simulation.Difference.unless;

import io.gradflow.core.norm.Step;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowSignals;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.DoubleStream;

/** What must be published of a window, worked out from its steps. */
final class WindowTruth {
  private WindowTruth() {}

  /** Fails unless the window says of these steps, which are ascending, what it must. */
  static void check(LayerWindow window, List<Step> steps) {
    int layer = window.layerIndex();
    equal(window, "steps", window.steps(), steps.size());
    equal(window, "first step", window.firstSeen(), steps.get(0).id().step());
    equal(window, "last step", window.lastSeen(), steps.get(steps.size() - 1).id().step());
    double[] l2 = steps.stream().mapToDouble(step -> step.norms().l2()[layer]).toArray();
    double[] octaves =
        steps.stream()
            .mapToDouble(step -> step.norms().rms()[layer])
            .filter(rms -> rms > 0)
            .map(rms -> Math.log(rms) / Math.log(2))
            .toArray();
    spread(window, "l2", window.l2(), Arrays.stream(l2).filter(v -> !Double.isNaN(v)).toArray());
    spread(window, "log2 RMS", window.log2Rms(), octaves);
    slope(window, steps);
    signals(window, steps.stream().filter(step -> !step.scalars().stepSkipped()).toList());
    int nonFinite = 0;
    double completeness = 0;
    Long zeros = 0L;
    for (Step step : steps) {
      nonFinite +=
          at(step.norms().nonFinite() == null ? null : step.norms().nonFinite().layers(), layer) < 0
              ? 0
              : 1;
      completeness += completeness(step, layer);
      long[] own = step.norms().zeros();
      zeros = zeros == null || own == null || own[layer] < 0 ? null : (Long) (zeros + own[layer]);
    }
    equal(window, "non-finite steps", window.nonFinite(), nonFinite);
    equal(window, "zeros", window.zeros(), zeros);
    close(window, "completeness", window.completeness(), completeness / steps.size());
  }

  private static void slope(LayerWindow window, List<Step> steps) {
    int layer = window.layerIndex();
    List<Step> used =
        steps.stream()
            .filter(step -> !step.scalars().stepSkipped() && step.norms().rms()[layer] > 0)
            .filter(step -> completeness(step, layer) >= 0.9)
            .toList();
    equal(window, "has a slope", window.slope() != null, used.size() >= 3);
    if (window.slope() == null) {
      return;
    }
    double[] x = used.stream().mapToDouble(step -> step.id().step()).toArray();
    double[] y = used.stream().mapToDouble(step -> Math.log(step.norms().rms()[layer])).toArray();
    double meanX = Arrays.stream(x).average().orElseThrow();
    double products = 0;
    double squares = 0;
    for (int i = 0; i < x.length; i++) {
      products += (x[i] - meanX) * y[i];
      squares += (x[i] - meanX) * (x[i] - meanX);
    }
    double slope = products / squares / Math.log(2);
    unless(
        Math.abs(window.slope() - slope) <= 1e-9,
        "window from %d of %s: slope: expected %s, got %s",
        window.firstStep(),
        window.layer(),
        slope,
        window.slope());
  }

  private static double completeness(Step step, int layer) {
    int lacking = at(step.incompleteLayers(), layer);
    return lacking < 0 ? 1 : step.incompleteCompleteness()[lacking];
  }

  /** Those that runs without signals of their own have: from norms and local gradients. */
  private static void signals(LayerWindow window, List<Step> steps) {
    int layer = window.layerIndex();
    WindowSignals got = window.signals();
    mean(
        window,
        "crest",
        got == null ? null : got.crest(),
        steps.stream().mapToDouble(step -> step.norms().linf()[layer] / step.norms().rms()[layer]));
    List<Step> noisy =
        steps.stream()
            .filter(step -> step.signals() != null && step.signals().noiseTrace() != null)
            .filter(step -> !Double.isNaN(step.signals().noiseTrace()[layer]))
            .toList();
    mean(
        window,
        "square of the gradient",
        got == null ? null : got.gradientSquare(),
        noisy.stream().mapToDouble(step -> step.signals().gradientSquare()[layer]));
    mean(
        window,
        "noise trace",
        got == null ? null : got.noiseTrace(),
        noisy.stream().mapToDouble(step -> step.signals().noiseTrace()[layer]));
  }

  private static void mean(LayerWindow window, String what, Double got, DoubleStream all) {
    double[] values = all.filter(value -> !Double.isNaN(value)).toArray();
    equal(window, "has " + what, got != null, values.length > 0);
    if (got != null) {
      double expected = Arrays.stream(values).average().orElseThrow();
      unless(
          Math.abs(got - expected) <= 1e-6 * Math.max(1, Math.abs(expected)),
          "window from %d of %s: %s: expected %s, got %s",
          window.firstStep(),
          window.layer(),
          what,
          expected,
          got);
    }
  }

  private static int at(int[] layers, int layer) {
    return layers == null ? -1 : Arrays.binarySearch(layers, layer);
  }

  private static void spread(
      LayerWindow window, String what, LayerWindow.Spread got, double[] values) {
    equal(window, what, got != null, values.length > 0);
    if (got == null) {
      return;
    }
    double[] ascending = values.clone();
    Arrays.sort(ascending);
    int n = values.length;
    close(window, what + " mean", got.mean(), Arrays.stream(values).sum() / n);
    close(window, what + " min", got.min(), ascending[0]);
    close(window, what + " max", got.max(), ascending[n - 1]);
    close(window, what + " last", got.last(), values[n - 1]);
    close(window, what + " p50", got.p50(), ascending[(n + 1) / 2 - 1]);
    close(window, what + " p95", got.p95(), ascending[(95 * n + 99) / 100 - 1]);
  }

  private static void equal(LayerWindow window, String what, Object got, Object expected) {
    unless(
        Objects.equals(got, expected) || isSameNumber(got, expected),
        "window from %d of %s: %s: expected %s, got %s",
        window.firstStep(),
        window.layer(),
        what,
        expected,
        got);
  }

  private static boolean isSameNumber(Object got, Object expected) {
    return got instanceof Number one
        && expected instanceof Number two
        && one.longValue() == two.longValue();
  }

  private static void close(LayerWindow window, String what, double got, double expected) {
    unless(
        Math.abs(got - expected) <= 1e-12 * Math.max(1, Math.abs(expected)),
        "window from %d of %s: %s: expected %s, got %s",
        window.firstStep(),
        window.layer(),
        what,
        expected,
        got);
  }
}
