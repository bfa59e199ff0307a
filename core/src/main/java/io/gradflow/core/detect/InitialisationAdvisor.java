package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_INITIALISATION;

import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.signal.DepthProfile;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;

/**
 * {@link FindingKind#ADVICE_INITIALISATION}: weights start too large or too small.
 *
 * <p>It judges the first {@code steps} published steps of a training that begins at step 0 or 1,
 * all of which must agree, over the weight layers of which five or more have a value.
 *
 * <ul>
 *   <li><b>All of them.</b> The gradient falls or grows by more than {@code drop} octaves over the
 *       depth, with a slope of more than {@code t} and without a break. A backward pass that
 *       multiplies by f at each layer wants weights larger by 1 / f where activations keep their
 *       size, as saturating and normalised ones do.
 *   <li><b>One of them.</b> A layer's RMS lies more than {@code apart} octaves, and more than five
 *       times their scatter, from the median of the weights. Where activations are homogeneous
 *       (linear, ReLU) or normalised, a layer's gradient is inversely proportional to its weights,
 *       so that one of 1/60 of the median comes from weights 60 times too large. Where weight norms
 *       are published, they must say so too: the weights' own RMS is off the other way by half as
 *       much at least.
 * </ul>
 *
 * <p>Amazon SageMaker Debugger's rule PoorWeightInitialization looks for the same in the same
 * steps, by the ratio of the layers' variances; layers of different width differ in that by design.
 *
 * <p>Cannot see: weights that are all too large or too small by the same factor in a homogeneous
 * network (gradients of weights are then as flat as they should be); a run that resumes.
 */
public final class InitialisationAdvisor {
  private static final double LEAST_SCATTERS = 5;

  /** The subject of advice about all layers. */
  private static final int ALL = -1;

  private InitialisationAdvisor() {}

  /**
   * Thresholds.
   *
   * @param steps published steps from the first on
   * @param drop octaves over the whole depth, either way
   * @param t of that slope
   * @param apart octaves between a layer and the median, either way
   */
  public record Settings(int steps, double drop, double t, double apart) {
    static final Settings DEFAULT = new Settings(10, 6, 4, 4);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(ADVICE_INITIALISATION, "steps", steps, 1, 1_000);
      Thresholds.require(ADVICE_INITIALISATION, "drop", drop, 1, 1_000);
      Thresholds.require(ADVICE_INITIALISATION, "t", t, 1, 1_000);
      Thresholds.require(ADVICE_INITIALISATION, "apart", apart, 1, 1_000);
    }
  }

  /**
   * Looks at a step.
   *
   * @param state about the layer with that index, or {@link #ALL}
   */
  static Sustained observe(Reading reading, Sustained state, Settings settings, Verdicts out) {
    boolean unbroken =
        reading.ordinal() == 0 ? reading.stepNumber() <= 1 : state.steps() == reading.ordinal();
    if (!unbroken || reading.ordinal() >= settings.steps()) {
      return state.next(false, false, state.subject(), settings.steps(), reading, out);
    }
    LayerTable table = reading.table();
    int[] weights = table.weightsByDepth();
    DepthProfile profile =
        DepthProfile.of(
            Arrays.stream(weights).mapToDouble(i -> reading.x()[i]).toArray(),
            Arrays.stream(weights).map(table::depth).toArray());
    boolean slopes =
        profile != null
            && Math.abs(profile.drop()) > settings.drop()
            && Math.abs(profile.t()) > settings.t();
    DepthProfile.Boundary boundary = slopes ? profile.steepest() : null;
    boolean breaks = boundary != null && boundary.isBreak();
    if (slopes && !breaks) {
      Sustained next = state.next(true, false, ALL, settings.steps(), reading, out);
      if (next.steps() == settings.steps()) {
        adviseAll(reading, profile, settings, next, out);
      }
      return next;
    }
    Spread spread = Spread.of(reading.x(), table.weights());
    int layer = farthest(reading, spread, settings);
    Sustained next = state.next(layer >= 0, false, layer, settings.steps(), reading, out);
    if (layer >= 0 && next.steps() == settings.steps()) {
      adviseOne(reading, layer, spread, settings, next, out);
    }
    return next;
  }

  /** The layer farthest from the others, if it is far enough; -1 if none is. */
  private static int farthest(Reading reading, Spread spread, Settings settings) {
    int farthest = -1;
    double most = 0;
    if (spread != null) {
      for (int i : reading.table().weights()) {
        double apart = Math.abs(reading.x()[i] - spread.median());
        if (apart > most && !reading.table().zeroInit(i)) {
          most = apart;
          farthest = i;
        }
      }
    }
    boolean far = most > settings.apart() && most > LEAST_SCATTERS * spread.scatter();
    return far && weightsAgree(reading, farthest, spread) ? farthest : -1;
  }

  private static boolean weightsAgree(Reading reading, int layer, Spread gradients) {
    StepSignals signals = reading.step().signals();
    if (signals == null || signals.weightNorm() == null) {
      return true;
    }
    double[] weights = new double[signals.weightNorm().length];
    for (int i = 0; i < weights.length; i++) {
      double norm = signals.weightNorm()[i];
      weights[i] =
          norm > 0
              ? Octaves.log2(norm / Math.sqrt((double) reading.table().elements(i)))
              : Double.NaN;
    }
    Spread spread = Spread.of(weights, reading.table().weights());
    if (spread == null || Double.isNaN(weights[layer])) {
      return true;
    }
    double gradientApart = reading.x()[layer] - gradients.median();
    double weightApart = weights[layer] - spread.median();
    return -weightApart / gradientApart >= 0.5;
  }

  private static void adviseAll(
      Reading reading, DepthProfile profile, Settings settings, Sustained evidence, Verdicts out) {
    boolean falls = profile.drop() > 0;
    double size = Math.abs(profile.drop());
    double gain = Math.abs(profile.slope());
    out.advice(
        ADVICE_INITIALISATION,
        reading,
        -1,
        evidence.onset(),
        size,
        size,
        settings.drop(),
        "octaves",
        ("From the first step on the gradient %s times on its way from the loss to the input, times"
                + " %s per layer.")
            .formatted(
                (falls ? "shrinks " : "grows ") + Wording.factor(size),
                Wording.factor(falls ? -gain : gain)),
        ("Initialise the weights %s times %s, so that the backward pass keeps the gradient's size, or"
                + " put a normalisation between the layers.")
            .formatted(Wording.factor(gain), falls ? "larger" : "smaller"));
  }

  private static void adviseOne(
      Reading reading,
      int layer,
      Spread spread,
      Settings settings,
      Sustained evidence,
      Verdicts out) {
    double apart = reading.x()[layer] - spread.median();
    double size = Math.abs(apart);
    boolean tooLarge = apart < 0;
    out.advice(
        ADVICE_INITIALISATION,
        reading,
        layer,
        evidence.onset(),
        size,
        size,
        settings.apart(),
        "octaves",
        "From the first step on the gradient of %s is %s the median of the weights."
            .formatted(
                reading.table().label(layer),
                tooLarge ? "1/" + Wording.factor(size) + " of" : Wording.factor(size) + " times"),
        "Initialise %s %s times %s: the gradient of a layer is the smaller the larger its weights."
            .formatted(
                reading.table().label(layer),
                Wording.factor(size),
                tooLarge ? "smaller" : "larger"));
  }
}
