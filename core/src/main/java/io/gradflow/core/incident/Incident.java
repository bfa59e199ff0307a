package io.gradflow.core.incident;

import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import java.util.List;

/**
 * An incident as it is remembered between steps.
 *
 * @param incidentId frozen at opening
 * @param transition of the last alert
 * @param root the finding named as cause, as it was last seen
 * @param severity the highest of its findings
 * @param openedStep the step whose evidence opened it
 * @param lastStep the last step with a finding of it
 * @param publishedStep the step of the last alert
 * @param resolvedStep null while it is open
 * @param suspects ranked
 * @param chain by onset
 * @param activities what keeps it open
 */
public record Incident(
    String incidentId,
    int transition,
    String stream,
    Finding root,
    Severity severity,
    long openedStep,
    long lastStep,
    long publishedStep,
    Long resolvedStep,
    long policyVersion,
    List<Alert.Suspect> suspects,
    List<Alert.Link> chain,
    List<String> blindSpots,
    List<Activity> activities) {

  /**
   * A kind of finding that still stands.
   *
   * @param manifestId in whose layers: the ranks of a pipeline report under several manifests
   */
  public record Activity(long manifestId, FindingKind kind) {}

  /** Whether it is not resolved. */
  boolean isOpen() {
    return resolvedStep == null;
  }

  /** Whether a kind of finding is part of it. */
  boolean holds(FindingKind kind) {
    return chain.stream().anyMatch(link -> link.kind() == kind);
  }

  /** The same after a further alert. */
  Incident published(long step) {
    return with(transition + 1, step, resolvedStep);
  }

  /** The same, quiet since that step. */
  Incident resolved(long step) {
    return with(transition, publishedStep, step);
  }

  /** The same, sick again. */
  Incident reopened() {
    return with(transition, publishedStep, null);
  }

  private Incident with(int newTransition, long newPublishedStep, Long newResolvedStep) {
    return new Incident(
        incidentId,
        newTransition,
        stream,
        root,
        severity,
        openedStep,
        lastStep,
        newPublishedStep,
        newResolvedStep,
        policyVersion,
        suspects,
        chain,
        blindSpots,
        activities);
  }
}
