package io.gradflow.core.detect;

import java.util.Collection;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.Map;

/**
 * What detectors look for: the one home of their settings and defaults. Immutable; settings out of
 * their range cannot be constructed.
 *
 * @param version of the highest rule in force, 0 for the defaults
 * @param warmUpSteps published steps of a layer before detectors that need a baseline judge it
 * @param clearAfterSteps published steps under half the threshold after which a finding is over
 * @param minCompleteness layers less complete than this leave trends as they are
 * @param modes what becomes of each kind's findings
 */
public record DetectionPolicy(
    long version,
    int warmUpSteps,
    int clearAfterSteps,
    double minCompleteness,
    Map<FindingKind, Rule.Mode> modes,
    NonFiniteDetector.Settings nonFinite,
    ExplodingSpikeDetector.Settings explodingSpike,
    ExplodingTrendDetector.Settings explodingTrend,
    VanishingTrendDetector.Settings vanishingTrend,
    VanishingDepthDetector.Settings vanishingDepth,
    DeadLayerDetector.Settings deadLayer,
    MissingShardsDetector.Settings missingShards,
    ContractDetector.Settings contract,
    RankDivergenceDetector.Settings rankDivergence,
    ReplicaMismatchDetector.Settings replicaMismatch,
    StragglerDetector.Settings straggler,
    StalledRunDetector.Settings stalledRun,
    DepthAdvisor.Settings adviceDepth,
    InitialisationAdvisor.Settings adviceInitialisation,
    LearningRateAdvisor.Settings adviceLearningRate,
    ClipAdvisor.Settings adviceClip,
    LossScaleAdvisor.Settings adviceLossScale,
    BatchSizeAdvisor.Settings adviceBatchSize,
    ExplodingShiftDetector.Settings explodingShift,
    ExplodingWeightsDetector.Settings explodingWeights,
    ExplodingUpdateDetector.Settings explodingUpdate,
    ExplodingDepthDetector.Settings explodingDepth,
    ExplodingAbsoluteAdvisor.Settings explodingAbsolute,
    VanishingAbsoluteAdvisor.Settings vanishingAbsolute,
    PlateauAdvisor.Settings plateau,
    UnderflowDetector.Settings underflow,
    OscillationDetector.Settings oscillation,
    ClipSaturationDetector.Settings clipSaturation)
    implements java.io.Serializable {

  /** Applies to every run. */
  public static final String EVERY_RUN = "*";

  /** The defaults: every detector enabled. */
  public static final DetectionPolicy DEFAULT =
      new DetectionPolicy(
          0,
          30,
          20,
          0.9,
          everywhere(Rule.Mode.ENABLED),
          NonFiniteDetector.Settings.DEFAULT,
          ExplodingSpikeDetector.Settings.DEFAULT,
          ExplodingTrendDetector.Settings.DEFAULT,
          VanishingTrendDetector.Settings.DEFAULT,
          VanishingDepthDetector.Settings.DEFAULT,
          DeadLayerDetector.Settings.DEFAULT,
          MissingShardsDetector.Settings.DEFAULT,
          ContractDetector.Settings.DEFAULT,
          RankDivergenceDetector.Settings.DEFAULT,
          ReplicaMismatchDetector.Settings.DEFAULT,
          StragglerDetector.Settings.DEFAULT,
          StalledRunDetector.Settings.DEFAULT,
          DepthAdvisor.Settings.DEFAULT,
          InitialisationAdvisor.Settings.DEFAULT,
          LearningRateAdvisor.Settings.DEFAULT,
          ClipAdvisor.Settings.DEFAULT,
          LossScaleAdvisor.Settings.DEFAULT,
          BatchSizeAdvisor.Settings.DEFAULT,
          ExplodingShiftDetector.Settings.DEFAULT,
          ExplodingWeightsDetector.Settings.DEFAULT,
          ExplodingUpdateDetector.Settings.DEFAULT,
          ExplodingDepthDetector.Settings.DEFAULT,
          ExplodingAbsoluteAdvisor.Settings.DEFAULT,
          VanishingAbsoluteAdvisor.Settings.DEFAULT,
          PlateauAdvisor.Settings.DEFAULT,
          UnderflowDetector.Settings.DEFAULT,
          OscillationDetector.Settings.DEFAULT,
          ClipSaturationDetector.Settings.DEFAULT);

  /** Checks what spans detectors; each detector's settings check themselves. */
  public DetectionPolicy {
    if (warmUpSteps < 3 || clearAfterSteps < 1 || !(minCompleteness > 0 && minCompleteness <= 1)) {
      throw new IllegalArgumentException(
          ("detection policy: expected warmUpSteps >= 3, clearAfterSteps >= 1 and minCompleteness"
                  + " in (0, 1], got %d, %d and %s")
              .formatted(warmUpSteps, clearAfterSteps, minCompleteness));
    }
    for (FindingKind kind : FindingKind.values()) {
      if (!modes.containsKey(kind)) {
        throw new IllegalArgumentException(
            "detection policy: expected a mode for every kind, got none for " + kind);
      }
    }
    modes = Map.copyOf(modes);
  }

  /** What becomes of the findings of a kind. */
  public Rule.Mode mode(FindingKind kind) {
    return modes.get(kind);
  }

  /**
   * The policy with one rule applied.
   *
   * @throws IllegalArgumentException if the rule is void, saying why; this policy stays in force
   */
  public DetectionPolicy with(Rule rule) {
    var newModes = new EnumMap<FindingKind, Rule.Mode>(modes);
    newModes.put(rule.kind(), rule.mode());
    return new DetectionPolicy(
        Math.max(version, rule.policyVersion()),
        warmUpSteps,
        clearAfterSteps,
        minCompleteness,
        newModes,
        changed(FindingKind.NON_FINITE, nonFinite, rule),
        changed(FindingKind.EXPLODING_SPIKE, explodingSpike, rule),
        changed(FindingKind.EXPLODING_TREND, explodingTrend, rule),
        changed(FindingKind.VANISHING_TREND, vanishingTrend, rule),
        changed(FindingKind.VANISHING_DEPTH, vanishingDepth, rule),
        changed(FindingKind.DEAD_LAYER, deadLayer, rule),
        changed(FindingKind.MISSING_SHARDS, missingShards, rule),
        changed(FindingKind.CONTRACT, contract, rule),
        changed(FindingKind.RANK_DIVERGENCE, rankDivergence, rule),
        changed(FindingKind.REPLICA_MISMATCH, replicaMismatch, rule),
        changed(FindingKind.STRAGGLER, straggler, rule),
        changed(FindingKind.STALLED_RUN, stalledRun, rule),
        changed(FindingKind.ADVICE_DEPTH, adviceDepth, rule),
        changed(FindingKind.ADVICE_INITIALISATION, adviceInitialisation, rule),
        changed(FindingKind.ADVICE_LEARNING_RATE, adviceLearningRate, rule),
        changed(FindingKind.ADVICE_CLIP, adviceClip, rule),
        changed(FindingKind.ADVICE_LOSS_SCALE, adviceLossScale, rule),
        changed(FindingKind.ADVICE_BATCH_SIZE, adviceBatchSize, rule),
        changed(FindingKind.EXPLODING_SHIFT, explodingShift, rule),
        changed(FindingKind.EXPLODING_WEIGHTS, explodingWeights, rule),
        changed(FindingKind.EXPLODING_UPDATE, explodingUpdate, rule),
        changed(FindingKind.EXPLODING_DEPTH, explodingDepth, rule),
        changed(FindingKind.EXPLODING_ABSOLUTE, explodingAbsolute, rule),
        changed(FindingKind.VANISHING_ABSOLUTE, vanishingAbsolute, rule),
        changed(FindingKind.PLATEAU, plateau, rule),
        changed(FindingKind.UNDERFLOW, underflow, rule),
        changed(FindingKind.OSCILLATION, oscillation, rule),
        changed(FindingKind.CLIP_SATURATION, clipSaturation, rule));
  }

  /**
   * The policy of a run: the rules for every run first, then the run's own, each in the order of
   * their versions. Rules for other runs are left out.
   *
   * @throws IllegalArgumentException if one of these rules is void
   */
  public DetectionPolicy with(Collection<Rule> rules, String runId) {
    DetectionPolicy policy = this;
    var order =
        Comparator.comparing((Rule rule) -> rule.scope().equals(runId))
            .thenComparingLong(Rule::policyVersion)
            .thenComparing(Rule::kind);
    for (Rule rule :
        rules.stream()
            .filter(r -> r.scope().equals(EVERY_RUN) || r.scope().equals(runId))
            .sorted(order)
            .toList()) {
      policy = policy.with(rule);
    }
    return policy;
  }

  private static <T extends Record> T changed(FindingKind kind, T settings, Rule rule) {
    return rule.kind() == kind ? Thresholds.change(kind, settings, rule.thresholds()) : settings;
  }

  private static Map<FindingKind, Rule.Mode> everywhere(Rule.Mode mode) {
    var modes = new EnumMap<FindingKind, Rule.Mode>(FindingKind.class);
    for (FindingKind kind : FindingKind.values()) {
      modes.put(kind, mode);
    }
    return modes;
  }
}
