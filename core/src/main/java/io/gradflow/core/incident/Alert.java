package io.gradflow.core.incident;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import java.util.List;

/**
 * What is published of an incident at one transition.
 *
 * @param alertId hash of (incidentId, transition): the same on replay
 * @param incidentId hash of (run, attempt, stream, kind, root layer, root rank, opening step),
 *     frozen at opening
 * @param transition 0 at opening, counting up
 * @param openedStep the step whose evidence opened it
 * @param lastStep the last step whose evidence belongs to it
 * @param onsetStep estimated first sick step, at most openedStep
 * @param resolvedStep null unless resolved
 * @param rootLayer the layer named as cause; null when none is
 * @param rootRank the rank named as cause; null when none is
 * @param host, device of the root rank; null when unknown
 * @param suspects ranked, the most suspect first
 * @param chain what followed from the cause, in the order of onset
 * @param message one plain sentence
 * @param advice null when there is none
 * @param blindSpots what this run does not publish and the verdict therefore lacks
 * @param confidence in the cause, 0 to 1; null for advice, and in alerts of release 0.1
 * @param policyVersion of the rules that decided
 * @param timed true if wall time decided this transition, so that a replay may differ
 * @param detectedAt wall time, ms since the epoch
 * @param context cause and circumstances
 */
public record Alert(
    String alertId,
    String incidentId,
    int transition,
    String runId,
    long attempt,
    String stream,
    State state,
    FindingKind kind,
    Severity severity,
    long openedStep,
    long lastStep,
    long onsetStep,
    Long resolvedStep,
    String rootLayer,
    Integer rootRank,
    String host,
    String device,
    List<Suspect> suspects,
    List<Link> chain,
    Evidence evidence,
    String message,
    String advice,
    List<String> blindSpots,
    Double confidence,
    long policyVersion,
    boolean timed,
    long detectedAt,
    Context context) {

  /** Where an incident stands. */
  public enum State {
    OPENED,
    UPDATED,
    RESOLVED,
    /** Nothing more was heard of the run. */
    EXPIRED
  }

  /**
   * Somebody to look at.
   *
   * @param layer null when a rank alone is suspect
   * @param rank null when a layer alone is suspect
   * @param score the larger the more suspect; comparable within one incident only
   * @param host, device of the rank; null when unknown
   */
  public record Suspect(String layer, Integer rank, double score, String host, String device) {}

  /**
   * What an incident comes from, what came of it, and what to do.
   *
   * @param cause null for advice, and in alerts of release 0.1
   * @param account what happened, in order, in one or two sentences; empty for advice
   * @param lossBefore smoothed loss before the onset; null when unknown
   * @param lossAfter the worst since, smoothed likewise, NaN once a loss was not finite; null when
   *     unknown
   * @param changes of the run shortly before the onset, oldest first, a line each
   * @param lastGoodStep the last step before anything was found; null when there is none
   * @param lastCheckpoint step of the last checkpoint until then; null when none is known
   * @param nextAction one imperative sentence; null for advice
   */
  public record Context(
      Cause cause,
      String account,
      Double lossBefore,
      Double lossAfter,
      List<String> changes,
      Long lastGoodStep,
      Long lastCheckpoint,
      String nextAction) {
    /** Nothing is known. */
    public static final Context NONE =
        new Context(null, "", null, null, List.of(), null, null, null);
  }

  /** One finding of the chain. */
  public record Link(long step, FindingKind kind, String layer, Integer rank, double observed) {}

  /**
   * Why the detector spoke.
   *
   * @param tailSteps, tail the last steps and values of the observed series, oldest first; aligned
   */
  public record Evidence(
      double observed, double threshold, String unit, long[] tailSteps, double[] tail) {}
}
