package io.gradflow.core.incident;

import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Wording;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Tells an incident in the order in which it happened: what changed, the cause, whom it reached,
 * what followed; then what it did to the loss. At most five clauses and a count of the rest: what
 * comes after the first NaN is its aftermath.
 */
final class Story {
  private static final int MOST_CLAUSES = 5;

  /** From this factor on the loss has risen. */
  private static final double RISEN = 1.2;

  /** Before that the smoothed loss cannot have risen. */
  private static final int STEPS_TO_SHOW = 10;

  private static final List<String> TOLD_CHANGES =
      List.of(Change.LEARNING_RATE, Change.CLIP_NORM, Change.LOSS_SCALE, Change.BATCH);

  private Story() {}

  /** One or two sentences; empty for advice. */
  static String of(Incident incident) {
    if (incident.root().kind().isAdvice()) {
      return "";
    }
    var clauses = new ArrayList<String>();
    String change = change(incident.known());
    if (change != null) {
      clauses.add(change);
    }
    clauses.add(cause(incident.root(), clauses.isEmpty()));
    String spread = spread(incident);
    if (spread != null) {
      clauses.add(spread);
    }
    List<Alert.Link> followers = followers(incident);
    List<Alert.Link> told = told(followers, MOST_CLAUSES - clauses.size());
    told.forEach(link -> clauses.add(clause(link)));
    int rest = followers.size() - told.size();
    if (rest > 0) {
      clauses.add("%d more kind%s of finding with it".formatted(rest, rest == 1 ? "" : "s"));
    }
    return String.join(", ", clauses) + "." + loss(incident);
  }

  /** The change that explains most; null if nothing did. */
  private static String change(Background background) {
    for (String what : TOLD_CHANGES) {
      Change change = background.change(what);
      if (change != null) {
        String word = change.declared() ? "declared" : "observed";
        return "%s%s %s at step %d"
            .formatted(
                Character.toUpperCase(what.charAt(0)) + what.substring(1),
                change.factor(),
                word,
                change.step());
      }
    }
    Change resumed = background.change(Change.RESUMED);
    return resumed == null ? null : "Resumed at step %d".formatted(resumed.step());
  }

  private static String cause(Finding root, boolean isFirst) {
    String clause =
        root.isOfSkips()
            ? "steps skipped in a row from %3$s"
            : root.isOfExperts()
                ? "experts behind %1$s without a gradient from %3$s"
                : Nature.of(root.kind()).clause();
    return clause(
        clause,
        root.layer(),
        root.rank(),
        root.observed(),
        (isFirst ? "step " : "") + root.onsetStep());
  }

  private static String clause(Alert.Link link) {
    return clause(
        Nature.of(link.kind()).clause(),
        link.layer(),
        link.rank(),
        link.observed(),
        Long.toString(link.step()));
  }

  private static String clause(
      String clause, String layer, Integer rank, double observed, String step) {
    String who =
        layer == null
            ? rank == null ? "the gradient" : "rank " + rank
            : Wording.plain(layer) + (rank == null ? "" : " of rank " + rank);
    return clause.formatted(who, Wording.factor(observed), step);
  }

  /** How many others the root's kind reached; null if none. */
  private static String spread(Incident incident) {
    Background.Tally tally = incident.known().tally(incident.root().kind());
    int others = tally == null ? 0 : tally.named().length - 1;
    if (others <= 0) {
      return null;
    }
    String who = incident.root().layer() != null ? "layer" : "rank";
    return "%s%d more %s%s by %d"
        .formatted(
            tally.more() ? "at least " : "",
            others,
            who,
            others == 1 ? "" : "s",
            Math.max(tally.lastOnset(), incident.root().onsetStep()));
  }

  /** The first link of each kind but the root's, by onset. */
  private static List<Alert.Link> followers(Incident incident) {
    Map<FindingKind, Alert.Link> first = new LinkedHashMap<>();
    for (Alert.Link link : incident.chain()) {
      if (link.kind() != incident.root().kind()) {
        first.putIfAbsent(link.kind(), link);
      }
    }
    return List.copyOf(first.values());
  }

  /** As many as there is room for: those before the first NaN, and that. */
  private static List<Alert.Link> told(List<Alert.Link> followers, int room) {
    var told = new ArrayList<Alert.Link>();
    boolean hasNan = followers.stream().anyMatch(link -> link.kind() == FindingKind.NON_FINITE);
    for (Alert.Link link : followers) {
      if (link.kind() == FindingKind.NON_FINITE) {
        told.add(link);
        return told;
      }
      if (told.size() < room - (hasNan ? 1 : 0)) {
        told.add(link);
      }
    }
    return told;
  }

  private static String loss(Incident incident) {
    Double before = incident.known().lossBefore();
    Double after = incident.known().lossAfter();
    if (before == null || after == null) {
      return "";
    }
    if (after.isNaN()) {
      return " The loss, %s before, is no longer finite.".formatted(Wording.number(before));
    }
    if (after <= before * RISEN) {
      boolean hadTime = incident.publishedStep() - incident.firstSick() >= STEPS_TO_SHOW;
      return hadTime ? " The loss shows no effect." : "";
    }
    return " The loss rose from %s to %s.".formatted(Wording.number(before), Wording.number(after));
  }
}
