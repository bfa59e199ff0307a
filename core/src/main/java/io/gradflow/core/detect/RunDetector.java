package io.gradflow.core.detect;

import io.gradflow.core.norm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Judges the steps of a run. A function of policy, state and step alone, so that a replay reaches
 * the same verdicts.
 *
 * <ul>
 *   <li>A step that came before, or lies below the last one and is not marked late, changes nothing
 *       unless it has a higher revision.
 *   <li>Late steps and revisions reach only what more contributions cannot make wrong: {@code
 *       NON_FINITE}, {@code MISSING_SHARDS} and {@code REPLICA_MISMATCH}.
 *   <li>A higher attempt starts fresh, keeping nothing of the one before; steps of a lower attempt
 *       change nothing.
 *   <li>A step with anything non-finite, or declared skipped, leaves every trend as it is.
 * </ul>
 */
public final class RunDetector {
  private RunDetector() {}

  /**
   * What became of a step.
   *
   * @param state of the run after it
   * @param findings empty when the step changed nothing
   */
  public record Judgement(RunTrends state, Optional<StepFindings> findings) {}

  /**
   * Judges a step.
   *
   * @param table of the step's manifest
   * @param state of the run before it, null at its first step; must not be used again
   * @param step whole: its parts joined
   * @throws IllegalArgumentException if the step's columns are not those of the table's layers
   */
  public static Judgement judge(
      DetectionPolicy policy, LayerTable table, RunTrends state, Step step) {
    check(table, step);
    long attempt = step.id().attempt();
    RunTrends run =
        state == null || attempt > state.attempt() ? new RunTrends(attempt, List.of()) : state;
    if (attempt < run.attempt()) {
      return new Judgement(run, Optional.empty());
    }
    LaneTrends lane = lane(run, table, step);
    RankTrends ranks = ranksOf(lane, table).with(step.evidence());
    var out = new Verdicts(policy);
    out.places(ranks);
    int slot = lane.seen().find(step.id().step());
    LaneTrends after;
    if (slot >= 0) {
      if (step.revision() <= lane.seen().revisions()[slot]) {
        return new Judgement(run, Optional.empty());
      }
      lane.seen().revisions()[slot] = step.revision();
      after = revise(table, lane, step, lane.seen().ordinals()[slot], ranks, out);
    } else if (step.late()) {
      lane.seen().add(step.id().step(), step.revision(), -1);
      after = revise(table, lane, step, -1, ranks, out);
    } else if (step.id().step() <= lane.lastStep()) {
      return new Judgement(run, Optional.empty());
    } else {
      lane.seen().add(step.id().step(), step.revision(), lane.published());
      after = advance(table, lane, others(run, lane), step, ranks, out);
    }
    var findings =
        new StepFindings(
            step.id(),
            step.manifestId(),
            policy.version(),
            List.copyOf(out.findings()),
            List.copyOf(out.active()),
            out.findings().isEmpty() ? List.of() : blindSpots(table, step),
            false,
            Circumstances.of(table, step, out.risen()));
    return new Judgement(with(run, after), Optional.of(findings));
  }

  /** A step beyond all that came before. */
  private static LaneTrends advance(
      LayerTable table,
      LaneTrends lane,
      List<ContractDetector.State> others,
      Step step,
      RankTrends ranks,
      Verdicts out) {
    DetectionPolicy policy = out.policy();
    var missingShards =
        MissingShardsDetector.observe(
            step, lane.published(), lane.missingShards(), policy.missingShards(), out);
    var contract =
        ContractDetector.observe(table, step, lane.contract(), others, policy.contract(), out);
    boolean excused = NonFiniteDetector.isExcused(step, lane.nonFinite(), policy.nonFinite());
    var nonFinite =
        excused
            ? NonFiniteDetector.skip(step, lane.nonFinite(), out)
            : NonFiniteDetector.observe(table, step, lane.nonFinite(), policy.nonFinite(), out);
    MagnitudeTrends magnitude = magnitudeOf(lane, table).at(step);
    var trended = new Trended(lane.vanishingDepth(), adviceOf(lane, table), magnitude);
    RankTrends ranked = ranks.observe(table, step, out);
    // Where ranks publish REDUCED more rarely than LOCAL, most steps have no norm to judge.
    boolean measured = Arrays.stream(step.norms().l2()).anyMatch(l2 -> !Double.isNaN(l2));
    boolean trends = measured && !step.scalars().stepSkipped() && !NonFiniteDetector.isIn(step);
    if (trends) {
      trended = observeTrends(table, lane, magnitude, step, out);
    } else {
      trendsStayActive(lane, out);
    }
    return new LaneTrends(
        lane.stream(),
        lane.manifestId(),
        step.id().step(),
        lane.published() + 1,
        trends ? step.id().step() : lane.lastTrended(),
        trends ? lane.trended() + 1 : lane.trended(),
        lane.seen(),
        lane.series(),
        lane.baselines(),
        nonFinite,
        lane.explodingSpike(),
        lane.explodingTrend(),
        lane.vanishingTrend(),
        trended.vanishingDepth(),
        lane.deadLayer(),
        missingShards,
        contract,
        trended.advice(),
        trended.magnitude(),
        ranked);
  }

  /** What is replaced, not changed in place, of the states that steps teach something. */
  private record Trended(
      VanishingDepthDetector.State vanishingDepth,
      AdviceTrends advice,
      MagnitudeTrends magnitude) {}

  private static Trended observeTrends(
      LayerTable table, LaneTrends lane, MagnitudeTrends magnitude, Step step, Verdicts out) {
    DetectionPolicy policy = out.policy();
    long delta = lane.lastTrended() < 0 ? 1 : step.id().step() - lane.lastTrended();
    Reading reading =
        Reading.of(
            table, step, lane.series(), lane.trended(), (double) delta, policy.minCompleteness());
    Conditions conditions = magnitude.conditions();
    LogHolt baseline = LogHolt.observe(reading, conditions, lane.baselines());
    DeadLayerDetector.observe(reading, lane.deadLayer(), policy.deadLayer(), out);
    ExplodingSpikeDetector.observe(
        reading,
        baseline,
        conditions,
        magnitude.loss(),
        lane.explodingSpike(),
        policy.explodingSpike(),
        out);
    out.risen(ExplodingSpikeDetector.risen(baseline, table.size(), policy));
    ExplodingTrendDetector.observe(
        reading,
        baseline,
        conditions,
        magnitude.loss(),
        lane.explodingSpike(),
        lane.explodingTrend(),
        policy.explodingTrend(),
        out);
    VanishingTrendDetector.observe(
        reading, baseline, conditions, lane.vanishingTrend(), policy.vanishingTrend(), out);
    var vanishingDepth =
        VanishingDepthDetector.observe(
            reading, lane.vanishingDepth(), policy.vanishingDepth(), out);
    MagnitudeTrends detected = magnitude.detect(reading, baseline, lane.explodingSpike(), out);
    // Last: advice is silent beside faults.
    boolean healthy = out.active().isEmpty();
    AdviceTrends advice = adviceOf(lane, table).observe(reading, baseline, out);
    return new Trended(vanishingDepth, advice, detected.advise(reading, healthy, out));
  }

  /** A step that came after later ones, or again with more contributions. */
  private static LaneTrends revise(
      LayerTable table, LaneTrends lane, Step step, long ordinal, RankTrends ranks, Verdicts out) {
    trendsStayActive(lane, out);
    if (lane.contract().hold() > 0) {
      out.active(FindingKind.CONTRACT);
    }
    return new LaneTrends(
        lane.stream(),
        lane.manifestId(),
        lane.lastStep(),
        lane.published(),
        lane.lastTrended(),
        lane.trended(),
        lane.seen(),
        lane.series(),
        lane.baselines(),
        NonFiniteDetector.revise(table, step, lane.nonFinite(), out),
        lane.explodingSpike(),
        lane.explodingTrend(),
        lane.vanishingTrend(),
        lane.vanishingDepth(),
        lane.deadLayer(),
        MissingShardsDetector.revise(step, ordinal, lane.missingShards(), out),
        lane.contract(),
        lane.advice(),
        lane.magnitude(),
        ranks.revise(table, step, out));
  }

  private static RankTrends ranksOf(LaneTrends lane, LayerTable table) {
    return lane.ranks() == null ? RankTrends.of(table.size()) : lane.ranks();
  }

  private static AdviceTrends adviceOf(LaneTrends lane, LayerTable table) {
    return lane.advice() == null ? AdviceTrends.of(table.size()) : lane.advice();
  }

  private static MagnitudeTrends magnitudeOf(LaneTrends lane, LayerTable table) {
    return lane.magnitude() == null ? MagnitudeTrends.of(table.size()) : lane.magnitude();
  }

  /** A step that trends do not see ends none of them. */
  private static void trendsStayActive(LaneTrends lane, Verdicts out) {
    out.activeIfAny(FindingKind.EXPLODING_SPIKE, lane.explodingSpike().hold());
    out.activeIfAny(FindingKind.EXPLODING_TREND, lane.explodingTrend().hold());
    out.activeIfAny(FindingKind.VANISHING_TREND, lane.vanishingTrend().hold());
    out.activeIfAny(FindingKind.DEAD_LAYER, lane.deadLayer().hold());
    if (lane.vanishingDepth().hold() > 0) {
      out.active(FindingKind.VANISHING_DEPTH);
    }
    if (lane.advice() != null) {
      lane.advice().stayActive(out);
    }
    if (lane.magnitude() != null) {
      lane.magnitude().stayActive(out);
    }
  }

  private static void check(LayerTable table, Step step) {
    boolean whole = step.parts() == 1 && step.norms().size() == table.size();
    if (!whole || step.manifestId() != table.manifestId()) {
      throw new IllegalArgumentException(
          "%s: expected columns of all %d layers of manifest %016x, got %d layers of manifest %016x"
              .formatted(
                  step.id(),
                  table.size(),
                  table.manifestId(),
                  step.norms().size(),
                  step.manifestId()));
    }
  }

  private static List<String> blindSpots(LayerTable table, Step step) {
    var spots = new ArrayList<String>();
    if (!table.reportsLocal()) {
      spots.add("no LOCAL shards: ranks cannot be told apart");
    }
    if (step.scalars().loss() == null) {
      spots.add("no loss: a NaN of the forward pass looks like one of the backward pass");
    }
    if (step.norms().zeros() == null) {
      spots.add("no counts of zeros: a layer is dead only when its norm is 0");
    }
    if (table.weightsByDepth().length == 0) {
      spots.add("no depths: what is nearer the loss is unknown");
    }
    return spots;
  }

  /** What is known of the stream's other manifests: a pipeline has one per stage. */
  private static List<ContractDetector.State> others(RunTrends run, LaneTrends lane) {
    return run.lanes().stream()
        .filter(other -> other.stream().equals(lane.stream()))
        .filter(other -> other.manifestId() != lane.manifestId())
        .map(LaneTrends::contract)
        .toList();
  }

  private static LaneTrends lane(RunTrends run, LayerTable table, Step step) {
    for (LaneTrends lane : run.lanes()) {
      if (isLaneOf(lane, step.id().stream(), step.manifestId())) {
        return lane;
      }
    }
    return LaneTrends.of(step.id().stream(), table);
  }

  private static RunTrends with(RunTrends run, LaneTrends lane) {
    var lanes = new ArrayList<LaneTrends>();
    for (LaneTrends other : run.lanes()) {
      if (!isLaneOf(other, lane.stream(), lane.manifestId())) {
        lanes.add(other);
      }
    }
    lanes.add(lane);
    return new RunTrends(run.attempt(), lanes);
  }

  private static boolean isLaneOf(LaneTrends lane, String stream, long manifestId) {
    return lane.manifestId() == manifestId && lane.stream().equals(stream);
  }
}
