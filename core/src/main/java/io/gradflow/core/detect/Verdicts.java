package io.gradflow.core.detect;

import java.util.ArrayList;
import java.util.List;

/** Collects what the detectors say of one step. */
final class Verdicts {
  /** Findings kept of a kind and step; an exploding network has thousands. */
  static final int MOST = 8;

  private static final long[] NO_STEPS = {};
  private static final double[] NO_VALUES = {};

  private final DetectionPolicy policy;
  private final List<Finding> findings = new ArrayList<>();
  private final List<FindingKind> active = new ArrayList<>();
  private Double risen;
  private RankTrends ranks;

  Verdicts(DetectionPolicy policy) {
    this.policy = policy;
  }

  /** Says where the ranks run that findings may name. */
  void places(RankTrends known) {
    ranks = known;
  }

  DetectionPolicy policy() {
    return policy;
  }

  List<Finding> findings() {
    return findings;
  }

  List<FindingKind> active() {
    return active;
  }

  /** Share of the layers that spike, or nearly; null before anything was said of it. */
  Double risen() {
    return risen;
  }

  /** Says what share of the layers spikes, or nearly. */
  void risen(Double share) {
    risen = share;
  }

  /**
   * Hysteresis: how many more quiet steps the condition stays active, given that it is so for
   * {@code hold}.
   */
  int hold(int hold, boolean fires, boolean overHalf) {
    if (fires || (overHalf && hold > 0)) {
      return policy.clearAfterSteps();
    }
    return Math.max(0, hold - 1);
  }

  /**
   * The same of the row of a rank, and when it began: {@code since} is the first step of the
   * evidence that lasts, -1 without. Both are changed in place.
   */
  void hold(long[] since, int[] hold, int row, long step, boolean fires, boolean lasts) {
    if (!lasts) {
      since[row] = -1;
    } else if (since[row] < 0) {
      since[row] = step;
    }
    hold[row] = hold(hold[row], fires, lasts);
  }

  /** Says that a kind is active. */
  void active(FindingKind kind) {
    if (policy.mode(kind) == Rule.Mode.ENABLED && !active.contains(kind)) {
      active.add(kind);
    }
  }

  /** Says that a kind is active if any of its layers is held. */
  void activeIfAny(FindingKind kind, int[] holds) {
    for (int hold : holds) {
      if (hold > 0) {
        active(kind);
        return;
      }
    }
  }

  /** Whether a finding of that kind may be added that names this layer: it is not named already. */
  boolean hasRoomFor(FindingKind kind, String layer) {
    int ofKind = 0;
    for (Finding finding : findings) {
      if (finding.kind() == kind) {
        ofKind++;
        if (layer.equals(finding.layer())) {
          return false;
        }
      }
    }
    return ofKind < MOST;
  }

  /** Adds a finding about a layer, with its tail. */
  void layer(
      FindingKind kind,
      Severity severity,
      Reading reading,
      int layer,
      long onset,
      double score,
      double observed,
      double threshold,
      String unit,
      String message) {
    tailed(kind, severity, reading, layer, onset, score, observed, threshold, unit, message, null);
  }

  /** Adds a finding that has no tail; layer and rank may be null. */
  void run(
      FindingKind kind,
      Severity severity,
      String layer,
      Integer rank,
      long onset,
      double observed,
      double threshold,
      String unit,
      String message) {
    run(kind, severity, layer, rank, onset, observed, threshold, unit, message, null);
  }

  /** Adds a finding about a rank; layer and sign may be null. */
  void rank(
      FindingKind kind,
      Severity severity,
      String layer,
      Integer rank,
      long onset,
      double score,
      double observed,
      double threshold,
      String unit,
      String message,
      Sign sign) {
    untailed(
        kind, severity, layer, rank, onset, score, observed, threshold, unit, message, null, sign);
  }

  /** Adds a finding that has no tail and says what to do; layer and rank may be null. */
  void run(
      FindingKind kind,
      Severity severity,
      String layer,
      Integer rank,
      long onset,
      double observed,
      double threshold,
      String unit,
      String message,
      String advice) {
    untailed(
        kind, severity, layer, rank, onset, observed, observed, threshold, unit, message, advice,
        null);
  }

  private void untailed(
      FindingKind kind,
      Severity severity,
      String layer,
      Integer rank,
      long onset,
      double score,
      double observed,
      double threshold,
      String unit,
      String message,
      String advice,
      Sign sign) {
    boolean isPlaced = rank != null && ranks != null;
    add(
        new Finding(
            kind,
            policy.mode(kind) == Rule.Mode.SHADOW,
            severity,
            layer,
            rank,
            onset,
            score,
            observed,
            threshold,
            unit,
            NO_STEPS,
            NO_VALUES,
            message,
            advice,
            sign,
            isPlaced ? ranks.host(rank) : null,
            isPlaced ? ranks.device(rank) : null));
  }

  /**
   * Adds advice.
   *
   * @param layer index of the layer it names, with whose tail it comes; -1 when it names none
   * @param advice what to do
   */
  void advice(
      FindingKind kind,
      Reading reading,
      int layer,
      long onset,
      double score,
      double observed,
      double threshold,
      String unit,
      String message,
      String advice) {
    tailed(
        kind,
        Severity.INFO,
        reading,
        layer,
        onset,
        score,
        observed,
        threshold,
        unit,
        message,
        advice);
  }

  private void tailed(
      FindingKind kind,
      Severity severity,
      Reading reading,
      int layer,
      long onset,
      double score,
      double observed,
      double threshold,
      String unit,
      String message,
      String advice) {
    add(
        new Finding(
            kind,
            policy.mode(kind) == Rule.Mode.SHADOW,
            severity,
            layer < 0 ? null : reading.table().name(layer),
            null,
            onset,
            score,
            observed,
            threshold,
            unit,
            layer < 0 ? NO_STEPS : reading.tailSteps(layer),
            layer < 0 ? NO_VALUES : reading.tail(layer),
            message,
            advice));
  }

  private void add(Finding finding) {
    if (policy.mode(finding.kind()) != Rule.Mode.OFF) {
      findings.add(finding);
    }
  }
}
