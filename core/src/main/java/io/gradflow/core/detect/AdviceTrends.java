package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_BATCH_SIZE;
import static io.gradflow.core.detect.FindingKind.ADVICE_CLIP;
import static io.gradflow.core.detect.FindingKind.ADVICE_DEPTH;
import static io.gradflow.core.detect.FindingKind.ADVICE_INITIALISATION;
import static io.gradflow.core.detect.FindingKind.ADVICE_LEARNING_RATE;
import static io.gradflow.core.detect.FindingKind.ADVICE_LOSS_SCALE;

/**
 * What the advisors of a lane remember.
 *
 * <p>Advice needs evidence of many steps in which nothing is wrong: steps of the warm-up count for
 * nothing (but for the initialisation, which shows in no others), and a step in which any fault is
 * active lets all evidence begin anew. Advice that was given stays as it is over such steps.
 */
public record AdviceTrends(
    Sustained depth,
    Sustained initialisation,
    LearningRateAdvisor.State learningRate,
    Sustained clip,
    Sustained lossScale,
    Sustained batchSize) {

  static AdviceTrends of(int layers) {
    return new AdviceTrends(
        Sustained.NONE,
        Sustained.NONE,
        LearningRateAdvisor.State.of(layers),
        Sustained.NONE,
        Sustained.NONE,
        Sustained.NONE);
  }

  /** Lets the advisors see a step that the detectors of faults have seen. */
  AdviceTrends observe(Reading reading, LogHolt baseline, Verdicts out) {
    AdviceTrends after = out.active().isEmpty() ? inHealth(reading, baseline, out) : interrupted();
    after.stayActive(out);
    return after;
  }

  /** Says what advice is not over. */
  void stayActive(Verdicts out) {
    stayActive(ADVICE_DEPTH, depth, out);
    stayActive(ADVICE_INITIALISATION, initialisation, out);
    out.activeIfAny(ADVICE_LEARNING_RATE, learningRate.hold());
    stayActive(ADVICE_CLIP, clip, out);
    stayActive(ADVICE_LOSS_SCALE, lossScale, out);
    stayActive(ADVICE_BATCH_SIZE, batchSize, out);
  }

  private AdviceTrends inHealth(Reading reading, LogHolt baseline, Verdicts out) {
    DetectionPolicy policy = out.policy();
    Sustained initialised =
        InitialisationAdvisor.observe(reading, initialisation, policy.adviceInitialisation(), out);
    if (reading.ordinal() < policy.warmUpSteps()) {
      return new AdviceTrends(depth, initialised, learningRate, clip, lossScale, batchSize);
    }
    LearningRateAdvisor.observe(reading, learningRate, policy.adviceLearningRate(), out);
    return new AdviceTrends(
        DepthAdvisor.observe(reading, baseline, depth, policy.adviceDepth(), out),
        initialised,
        learningRate,
        ClipAdvisor.observe(reading, clip, policy.adviceClip(), out),
        LossScaleAdvisor.observe(reading, lossScale, policy.adviceLossScale(), out),
        BatchSizeAdvisor.observe(reading, batchSize, policy.adviceBatchSize(), out));
  }

  private AdviceTrends interrupted() {
    learningRate.interrupt();
    return new AdviceTrends(
        depth.interrupted(),
        initialisation.interrupted(),
        learningRate,
        clip.interrupted(),
        lossScale.interrupted(),
        batchSize.interrupted());
  }

  private static void stayActive(FindingKind kind, Sustained evidence, Verdicts out) {
    if (evidence.hold() > 0) {
      out.active(kind);
    }
  }
}
