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
 * @param background null in states of release 0.1
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
    List<Activity> activities,
    Background background) {

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

  /** The background, an empty one where nothing is known. */
  Background known() {
    return background == null ? Background.NONE : background;
  }

  /** The earliest onset of what belongs to it. */
  long firstSick() {
    return Math.min(root.onsetStep(), chain.isEmpty() ? root.onsetStep() : chain.get(0).step());
  }

  /** The last step before anything was found; null if there is none. */
  Long lastGoodStep() {
    return firstSick() > 0 ? firstSick() - 1 : null;
  }

  /** The same after its first alert, which says that cause. */
  Incident first(Cause cause) {
    return with(transition, publishedStep, resolvedStep, known().published(cause));
  }

  /** The same after a further alert, which says that cause. */
  Incident published(long step, Cause cause) {
    return with(transition + 1, step, resolvedStep, known().published(cause));
  }

  /** The same, quiet since that step. */
  Incident resolved(long step) {
    return with(transition, publishedStep, step, background);
  }

  /** The same, sick again. */
  Incident reopened() {
    return with(transition, publishedStep, null, background);
  }

  private Incident with(
      int newTransition, long newPublishedStep, Long newResolvedStep, Background newBackground) {
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
        activities,
        newBackground);
  }
}
