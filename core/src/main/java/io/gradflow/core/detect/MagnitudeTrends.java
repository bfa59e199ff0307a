package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CLIP_SATURATION;
import static io.gradflow.core.detect.FindingKind.DEAD_LAYER;
import static io.gradflow.core.detect.FindingKind.EXPLODING_ABSOLUTE;
import static io.gradflow.core.detect.FindingKind.EXPLODING_DEPTH;
import static io.gradflow.core.detect.FindingKind.EXPLODING_SHIFT;
import static io.gradflow.core.detect.FindingKind.EXPLODING_TREND;
import static io.gradflow.core.detect.FindingKind.EXPLODING_UPDATE;
import static io.gradflow.core.detect.FindingKind.EXPLODING_WEIGHTS;
import static io.gradflow.core.detect.FindingKind.OSCILLATION;
import static io.gradflow.core.detect.FindingKind.PLATEAU;
import static io.gradflow.core.detect.FindingKind.UNDERFLOW;
import static io.gradflow.core.detect.FindingKind.VANISHING_ABSOLUTE;
import static io.gradflow.core.detect.FindingKind.VANISHING_TREND;

import io.gradflow.core.norm.Step;
import java.util.Arrays;

/**
 * What the detectors of sizes and directions remember of a lane that release 0.1 did not have, with
 * what they need to know of the run: its conditions and its loss. Columns are changed in place.
 *
 * @param conditions what the run does to its gradients' size
 * @param slow, slower lines over ten and a hundred times the memory of {@link
 *     ExplodingTrendDetector}
 */
public record MagnitudeTrends(
    Conditions conditions,
    LossTrend loss,
    SlowTrendDetector.State slow,
    SlowTrendDetector.State slower,
    ExplodingShiftDetector.State explodingShift,
    InARow explodingDepth,
    InARow explodingAbsolute,
    VanishingAbsoluteAdvisor.State vanishingAbsolute,
    PlateauAdvisor.State plateau,
    UnderflowDetector.State underflow,
    OscillationDetector.State oscillation,
    ClipSaturationDetector.State clipSaturation,
    RouterCollapseDetector.State routers,
    ExplodingUpdateDetector.State explodingUpdate,
    ExplodingWeightsDetector.State explodingWeights) {
  private static final double SLOW = 10;
  private static final double SLOWER = 100;

  static MagnitudeTrends of(int layers) {
    return new MagnitudeTrends(
        Conditions.UNKNOWN,
        LossTrend.UNKNOWN,
        SlowTrendDetector.State.of(layers),
        SlowTrendDetector.State.of(layers),
        ExplodingShiftDetector.State.of(layers),
        InARow.NONE,
        InARow.NONE,
        VanishingAbsoluteAdvisor.State.of(layers),
        PlateauAdvisor.State.FRESH,
        UnderflowDetector.State.of(layers),
        OscillationDetector.State.of(layers),
        ClipSaturationDetector.State.FRESH,
        RouterCollapseDetector.State.of(layers),
        ExplodingUpdateDetector.State.FRESH,
        ExplodingWeightsDetector.State.of(layers));
  }

  /** With the conditions and the loss of a step, be it one that trends see or not. */
  MagnitudeTrends at(Step step) {
    return new MagnitudeTrends(
        conditions.observe(step),
        loss.observe(step.scalars().loss(), step.id().step()),
        slow,
        slower,
        explodingShift,
        explodingDepth,
        explodingAbsolute,
        vanishingAbsolute,
        plateau,
        underflow,
        oscillation,
        clipSaturation,
        routers,
        explodingUpdate,
        explodingWeights);
  }

  /** Lets the detectors of faults see a step. */
  MagnitudeTrends detect(
      Reading reading, LogHolt baseline, ExplodingSpikeDetector.State spikes, Verdicts out) {
    DetectionPolicy policy = out.policy();
    double[] apart = SlowTrendDetector.apart(reading.table(), baseline);
    SlowTrendDetector.observe(reading, baseline, apart, conditions, loss, spikes, slow, SLOW, out);
    SlowTrendDetector.observe(
        reading, baseline, apart, conditions, loss, spikes, slower, SLOWER, out);
    ExplodingShiftDetector.observe(
        reading, baseline, conditions, loss, explodingShift, policy.explodingShift(), out);
    UnderflowDetector.observe(reading, underflow, policy.underflow(), out);
    OscillationDetector.observe(reading, loss, oscillation, policy.oscillation(), out);
    ExplodingWeightsDetector.observe(reading, explodingWeights, policy.explodingWeights(), out);
    RouterCollapseDetector.observe(reading, routers, policy.deadLayer(), out);
    var after =
        new MagnitudeTrends(
            conditions,
            loss,
            slow,
            slower,
            explodingShift,
            ExplodingDepthDetector.observe(reading, explodingDepth, policy.explodingDepth(), out),
            explodingAbsolute,
            vanishingAbsolute,
            plateau,
            underflow,
            oscillation,
            ClipSaturationDetector.observe(reading, clipSaturation, policy.clipSaturation(), out),
            routers,
            ExplodingUpdateDetector.observe(
                reading, conditions, explodingUpdate, policy.explodingUpdate(), out),
            explodingWeights);
    after.faultsStayActive(out);
    return after;
  }

  /**
   * Lets the advisors see a step. As of {@link AdviceTrends}, a step of the warm-up or beside a
   * fault is no evidence; but a plateau of thousands of steps goes on over them.
   *
   * @param healthy no fault is active
   */
  MagnitudeTrends advise(Reading reading, boolean healthy, Verdicts out) {
    DetectionPolicy policy = out.policy();
    boolean counts = healthy && reading.ordinal() >= policy.warmUpSteps();
    if (counts && !conditions.isWarmingUp()) {
      VanishingAbsoluteAdvisor.observe(reading, vanishingAbsolute, policy.vanishingAbsolute(), out);
    } else {
      vanishingAbsolute.interrupt();
    }
    boolean vanishing = Arrays.stream(vanishingAbsolute.hold()).anyMatch(hold -> hold > 0);
    var after =
        new MagnitudeTrends(
            conditions,
            loss,
            slow,
            slower,
            explodingShift,
            explodingDepth,
            counts
                ? ExplodingAbsoluteAdvisor.observe(
                    reading, explodingAbsolute, policy.explodingAbsolute(), out)
                : explodingAbsolute.interrupted(),
            vanishingAbsolute,
            PlateauAdvisor.observe(
                reading, loss, counts && !vanishing, plateau, policy.plateau(), out),
            underflow,
            oscillation,
            clipSaturation,
            routers,
            explodingUpdate,
            explodingWeights);
    after.adviceStaysActive(out);
    return after;
  }

  /** A step that none of these see ends nothing. */
  void stayActive(Verdicts out) {
    faultsStayActive(out);
    adviceStaysActive(out);
  }

  private void faultsStayActive(Verdicts out) {
    out.activeIfAny(EXPLODING_TREND, slow.growing());
    out.activeIfAny(EXPLODING_TREND, slower.growing());
    out.activeIfAny(VANISHING_TREND, slow.falling());
    out.activeIfAny(VANISHING_TREND, slower.falling());
    out.activeIfAny(EXPLODING_SHIFT, explodingShift.hold());
    out.activeIfAny(UNDERFLOW, underflow.hold());
    out.activeIfAny(OSCILLATION, oscillation.hold());
    out.activeIfAny(EXPLODING_WEIGHTS, explodingWeights.hold());
    out.activeIfAny(DEAD_LAYER, routers.hold());
    activeIf(explodingDepth.hold() > 0, EXPLODING_DEPTH, out);
    activeIf(explodingUpdate.hold() > 0, EXPLODING_UPDATE, out);
    activeIf(clipSaturation.row().hold() > 0, CLIP_SATURATION, out);
  }

  private void adviceStaysActive(Verdicts out) {
    out.activeIfAny(VANISHING_ABSOLUTE, vanishingAbsolute.hold());
    activeIf(explodingAbsolute.hold() > 0, EXPLODING_ABSOLUTE, out);
    activeIf(plateau.hold() > 0, PLATEAU, out);
  }

  private static void activeIf(boolean condition, FindingKind kind, Verdicts out) {
    if (condition) {
      out.active(kind);
    }
  }
}
