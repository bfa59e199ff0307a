package io.gradflow.benchmarks.quality;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleFunction;

/**
 * What others do about gradients, re-stated as rules on what a trainer sees ({@link TrainerView}),
 * each with the defaults of its project and one factor on its main threshold. A rule speaks in the
 * steps in which it holds; {@link Alarms} makes episodes of that. None names a cause; those that
 * look at single tensors name layers.
 *
 * <p>Where a rule is a clipper's (ZClip, AutoClip, AdaGC), it speaks when it would clip: as an
 * alarm it was never meant, and its figures say what becomes of it if it is taken for one.
 */
final class Baselines {
  private static final double[] LINEAR = {8, 4, 2.83, 2, 1.41, 1, 0.71, 0.5, 0.35};
  private static final double[] DECADES = {1e4, 1e3, 100, 10, 3.16, 1, 0.316, 0.1, 0.01};

  private Baselines() {}

  /** A rule in one run and stream. */
  private interface Rule {
    /** What it says of a step: null nothing, else the layers that it names, or none. */
    List<String> observe(TrainerView view);
  }

  private static final List<String> UNNAMED = List.of();

  /** All of them, in the order of the tables. */
  static List<Watcher> all() {
    return List.of(
        new Baseline("SageMaker Debugger", DECADES, SageMaker::new),
        new Baseline("AutoTrainer", DECADES, factor -> new AutoTrainer(factor, false)),
        new Baseline("AutoTrainer, gated", DECADES, factor -> new AutoTrainer(factor, true)),
        new Baseline("OLMo-core", LINEAR, OlmoCore::new),
        new Baseline("Megatron-LM", LINEAR, Megatron::new),
        new Baseline("ZClip", LINEAR, ZClip::new),
        new Baseline(
            "AutoClip", new double[] {10, 9.99, 9.9, 9.5, 9, 7.5, 5, 2.5, 1}, AutoClip::new),
        new Baseline("AdaGC", LINEAR, AdaGc::new),
        new Baseline("Lightning SpikeDetection", LINEAR, Lightning::new),
        new Baseline("W&B automation", LINEAR, WandbAutomation::new),
        new Baseline("fixed norm", DECADES, FixedNorm::new));
  }

  private record Baseline(String name, double[] grid, DoubleFunction<Rule> rule)
      implements Watcher {
    @Override
    public double[] factors() {
      return grid.clone();
    }

    @Override
    public double standard() {
      return 1;
    }

    @Override
    public boolean classifies() {
      return false;
    }

    @Override
    public Watch watch(double factor) {
      return new Watched(rule, factor);
    }
  }

  private static final class Watched implements Watcher.Watch {
    private final DoubleFunction<Rule> rule;
    private final double factor;
    private final Map<Long, Manifest> manifests = new HashMap<>();
    private final Map<String, Rule> streams = new HashMap<>();
    private final Map<String, Long> lastSteps = new HashMap<>();
    private final Alarms alarms = new Alarms();

    Watched(DoubleFunction<Rule> rule, double factor) {
      this.rule = rule;
      this.factor = factor;
    }

    @Override
    public void manifest(Manifest manifest) {
      manifests.put(manifest.manifestId(), manifest);
    }

    @Override
    public void step(long at, Step step) {
      Long last = lastSteps.get(step.id().stream());
      TrainerView view =
          last != null && at <= last
              ? null
              : TrainerView.of(manifests.get(step.manifestId()), step);
      if (view == null) {
        return;
      }
      lastSteps.put(step.id().stream(), at);
      List<String> named =
          streams.computeIfAbsent(step.id().stream(), stream -> rule.apply(factor)).observe(view);
      if (named != null) {
        alarms.raise(new Alarm.Reading(at, null, named, List.of(), "step " + at), false);
      }
    }

    @Override
    public List<Alarm> alarms() {
      return alarms.all();
    }
  }

  /** The last values of a series. */
  private static final class Window {
    private final double[] values;
    private int count;

    Window(int size) {
      values = new double[size];
    }

    void add(double value) {
      values[count++ % values.length] = value;
    }

    int size() {
      return Math.min(count, values.length);
    }

    double mean() {
      return Arrays.stream(values, 0, size()).average().orElse(Double.NaN);
    }

    /** Of the sample. */
    double deviation() {
      double mean = mean();
      double squares = Arrays.stream(values, 0, size()).map(v -> (v - mean) * (v - mean)).sum();
      return Math.sqrt(squares / (size() - 1));
    }
  }

  /**
   * SageMaker Debugger's built-in rules on gradients and weights, each of which ends with its first
   * hit: VanishingGradient (mean magnitude of a tensor below 1e-7), ExplodingTensor (any NaN or
   * Inf), AllZero (a tensor wholly zero), WeightUpdateRatio (above 10 or below 1e-8),
   * UnchangedTensor (weights all close over 3 saved steps, relative 1e-5 and absolute 1e-8, told
   * from the norm of the update) and PoorWeightInitialization (variances of the weight tensors more
   * than 10 times apart in the first 10 steps). Sees every tensor; not the loss. The factor is on
   * how far thresholds lie from what is normal: the larger, the farther.
   */
  private static final class SageMaker implements Rule {
    private final double factor;
    private final boolean[] over = new boolean[6];
    private int[] unchanged;
    private int steps;

    SageMaker(double factor) {
      this.factor = factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      if (!view.isKnown()) {
        return null;
      }
      List<String> named = null;
      if (view.isNonFinite()) {
        named = hit(0, named, UNNAMED);
      }
      unchanged = unchanged == null ? new int[view.layers()] : unchanged;
      double least = Double.POSITIVE_INFINITY;
      double most = 0;
      for (int i = 0; i < view.layers(); i++) {
        List<String> layer = List.of(view.name(i));
        if (view.meanAbs(i) < 1e-7 / factor) {
          named = hit(1, named, layer);
        }
        if (view.zeros(i) >= 1) {
          named = hit(2, named, layer);
        }
        double ratio = view.updateNorm(i) / view.weightNorm(i);
        if (ratio > 10 * factor || ratio < 1e-8 / factor) {
          named = hit(3, named, layer);
        }
        double close =
            1e-5 * view.weightNorm(i)
                + 1e-8 * Math.sqrt((double) view.declared().get(i).elements());
        unchanged[i] = view.updateNorm(i) <= close / factor ? unchanged[i] + 1 : 0;
        if (unchanged[i] >= 2) {
          named = hit(4, named, layer);
        }
        if (view.isWeight(i) && view.weightSpread(i) > 0) {
          least = Math.min(least, view.weightSpread(i));
          most = Math.max(most, view.weightSpread(i));
        }
      }
      if (steps++ < 10 && most * most > 10 * factor * least * least) {
        named = hit(5, named, UNNAMED);
      }
      return named;
    }

    private List<String> hit(int rule, List<String> named, List<String> layers) {
      if (over[rule]) {
        return named;
      }
      over[rule] = true;
      return named == null || named.isEmpty() ? layers : named;
    }
  }

  /**
   * AutoTrainer (Zhang et al., ICSE 2021): with r the norm of the first weight layer over that of
   * the last, the gradient vanishes at r below 1e-3 with the first below 1e-4, explodes at r above
   * 70 or anything non-finite, and units die where a tensor has a share of 0.7 or more zeros. Sees
   * every tensor. Gated, it is silent while the training does well; accuracy, which it looks at, is
   * not published, and the loss stands in: well is under 60 % of the first ten steps' mean. The
   * factor is on r's thresholds; that of the zeros stays.
   */
  private static final class AutoTrainer implements Rule {
    private final double factor;
    private final boolean gated;
    private final Window losses = new Window(10);
    private double firstLoss = Double.NaN;

    AutoTrainer(double factor, boolean gated) {
      this.factor = factor;
      this.gated = gated;
    }

    @Override
    public List<String> observe(TrainerView view) {
      losses.add(view.loss());
      if (losses.size() == 10 && Double.isNaN(firstLoss)) {
        firstLoss = losses.mean();
      }
      if (!view.isKnown() || (gated && losses.mean() < 0.6 * firstLoss)) {
        return null;
      }
      if (view.isNonFinite()) {
        return UNNAMED;
      }
      int first = -1;
      int last = -1;
      for (int i = 0; i < view.layers(); i++) {
        if (view.isWeight(i)) {
          first = first < 0 ? i : first;
          last = i;
        }
        if (view.zeros(i) >= 0.7 && !view.declared().get(i).sparse()) {
          return List.of(view.name(i));
        }
      }
      if (first < 0) {
        return null;
      }
      double r = view.norm(first) / view.norm(last);
      boolean vanishes = r < 1e-3 / factor && view.norm(first) < 1e-4;
      return vanishes || r > 70 * factor ? List.of(view.name(first)) : null;
    }
  }

  /**
   * OLMo-core's step skipper: loss or gradient norm above the mean of the last 128 by 6 standard
   * deviations, once half the window is there. A NaN poisons the window until it has left. The
   * factor is on the 6.
   */
  private static final class OlmoCore implements Rule {
    private final double sigmas;
    private final Window losses = new Window(128);
    private final Window norms = new Window(128);

    OlmoCore(double factor) {
      sigmas = 6 * factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      boolean loss = isFar(losses, view.loss());
      boolean norm = isFar(norms, view.globalNorm());
      return loss || norm ? UNNAMED : null;
    }

    private boolean isFar(Window window, double value) {
      boolean far = window.size() >= 64 && value > window.mean() + sigmas * window.deviation();
      window.add(value);
      return far;
    }
  }

  /**
   * Megatron-LM's check for results that are unexpectedly large: loss or gradient norm at least 10
   * times the largest of the first 100; anything non-finite at once. The factor is on the 10.
   */
  private static final class Megatron implements Rule {
    private final double times;
    private int steps;
    private double largestLoss;
    private double largestNorm;

    Megatron(double factor) {
      times = 10 * factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      double loss = Math.abs(view.loss());
      double norm = view.globalNorm();
      if (view.isNonFinite() || Double.isInfinite(loss)) {
        return UNNAMED;
      }
      if (steps++ < 100) {
        largestLoss = Math.max(largestLoss, Double.isNaN(loss) ? 0 : loss);
        largestNorm = Math.max(largestNorm, Double.isNaN(norm) ? 0 : norm);
        return null;
      }
      return loss >= times * largestLoss || norm >= times * largestNorm ? UNNAMED : null;
    }
  }

  /**
   * ZClip (Kumar et al., 2025) on the global norm: z above 2.5 over exponential means of norm and
   * variance (0.97), after 25 steps; what is clipped enters them clipped. A NaN stays in the mean
   * for ever. The factor is on the 2.5.
   */
  private static final class ZClip implements Rule {
    private static final double ALPHA = 0.97;
    private final double threshold;
    private final Window warmUp = new Window(25);
    private double mean;
    private double variance = -1;

    ZClip(double factor) {
      threshold = 2.5 * factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      double norm = view.globalNorm();
      if (warmUp.size() < 25) {
        warmUp.add(norm);
        return null;
      }
      if (variance < 0) {
        mean = warmUp.mean();
        variance = Math.pow(warmUp.deviation(), 2);
      }
      double deviation = Math.sqrt(variance);
      double z = (norm - mean) / (deviation + 1e-6);
      boolean clips = z > threshold;
      double kept = clips ? mean + threshold * threshold / z * deviation : norm;
      mean = ALPHA * mean + (1 - ALPHA) * kept;
      variance = ALPHA * variance + (1 - ALPHA) * (kept - mean) * (kept - mean);
      return clips ? UNNAMED : null;
    }
  }

  /**
   * AutoClip (Seetharaman et al., 2020): a global norm above the 10th percentile of all so far. The
   * factor is on the 10: 10 times is the largest norm so far.
   */
  private static final class AutoClip implements Rule {
    private final double percentile;
    private double[] sorted = new double[64];
    private int count;

    AutoClip(double factor) {
      percentile = Math.min(100, 10 * factor);
    }

    @Override
    public List<String> observe(TrainerView view) {
      double norm = view.globalNorm();
      if (!Double.isFinite(norm)) {
        return null;
      }
      boolean clips = count > 0 && norm > sorted[(int) Math.floor(percentile / 100 * (count - 1))];
      int at = Arrays.binarySearch(sorted, 0, count, norm);
      at = at < 0 ? -at - 1 : at;
      sorted = count == sorted.length ? Arrays.copyOf(sorted, 2 * count) : sorted;
      System.arraycopy(sorted, at, sorted, at + 1, count - at);
      sorted[at] = norm;
      count++;
      return clips ? UNNAMED : null;
    }
  }

  /**
   * AdaGC (Wang et al., 2025): a tensor's norm above 1.05 times its own exponential mean (0.98) of
   * clipped norms, after 100 steps in which the mean is the least norm seen. Sees every tensor; the
   * factor is on what lies above 1 in decimal terms: the threshold is 1 + 0.05 times its cube.
   */
  private static final class AdaGc implements Rule {
    private static final double BETA = 0.98;
    private final double threshold;
    private double[] means;
    private int steps;

    AdaGc(double factor) {
      threshold = 1 + 0.05 * Math.pow(factor, 3);
    }

    @Override
    public List<String> observe(TrainerView view) {
      if (means == null) {
        means = new double[view.layers()];
        Arrays.fill(means, Double.POSITIVE_INFINITY);
      }
      steps++;
      int worst = -1;
      double most = threshold;
      for (int i = 0; i < means.length; i++) {
        double norm = view.norm(i);
        if (Double.isNaN(norm)) {
          continue;
        }
        if (steps <= 100) {
          means[i] = Math.min(means[i], norm);
          continue;
        }
        double ratio = norm / means[i];
        if (ratio > most) {
          most = ratio;
          worst = i;
        }
        means[i] = BETA * means[i] + (1 - BETA) * Math.min(norm, threshold * means[i]);
      }
      return worst < 0 ? null : List.of(view.name(worst));
    }
  }

  /**
   * Lightning's SpikeDetection on the loss: non-finite, or worse than the last and at least twice
   * the running mean of 10 away from that mean. A spike does not enter the mean. The factor is on
   * the 2.
   */
  private static final class Lightning implements Rule {
    private final double times;
    private final Window losses = new Window(10);
    private double last = Double.NaN;

    Lightning(double factor) {
      times = 2 * factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      double loss = view.loss();
      boolean spike = !Double.isFinite(loss);
      if (losses.size() > 0) {
        double mean = losses.mean();
        spike |= loss > last && Math.abs(loss - mean) >= times * Math.abs(mean);
      }
      if (!spike) {
        losses.add(loss);
        last = loss;
      }
      return spike ? UNNAMED : null;
    }
  }

  /**
   * A W&B automation on a z-score: loss or global norm more than 3 standard deviations from the
   * mean of the last 30, either way. The factor is on the 3.
   */
  private static final class WandbAutomation implements Rule {
    private final double sigmas;
    private final Window losses = new Window(30);
    private final Window norms = new Window(30);

    WandbAutomation(double factor) {
      sigmas = 3 * factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      boolean loss = isFar(losses, view.loss());
      boolean norm = isFar(norms, view.globalNorm());
      return loss || norm ? UNNAMED : null;
    }

    private boolean isFar(Window window, double value) {
      boolean far =
          window.size() == 30 && Math.abs(value - window.mean()) > sigmas * window.deviation();
      window.add(value);
      return far;
    }
  }

  /** A fixed limit on the global norm: above 100 or below 1e-6. The factor is on both. */
  private static final class FixedNorm implements Rule {
    private final double factor;

    FixedNorm(double factor) {
      this.factor = factor;
    }

    @Override
    public List<String> observe(TrainerView view) {
      double norm = view.globalNorm();
      return norm > 100 * factor || norm < 1e-6 / factor ? UNNAMED : null;
    }
  }
}
