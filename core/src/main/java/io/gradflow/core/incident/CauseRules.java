package io.gradflow.core.incident;

import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Sign;

/**
 * Names the class of an incident's cause, and how sure that is. Pure: by the findings, by what
 * changed shortly before, and by how it came. The first rule that applies decides; every kind has a
 * last one in {@link Nature}.
 *
 * <pre>
 * confidence = (1 - (1 - certainty of the rule · (1 + margin) / 2) · (2/3)^agreeing) · 0.9^blind
 * margin     = 1 - threshold / observed, whichever way round is below 1; 1 for what is a fact
 * agreeing   = other kinds and changes that speak for the same class, at most 3
 * blind      = blind spots of the run
 * </pre>
 *
 * So it grows with the margin and with every signal that agrees, and falls with every blind spot.
 * The certainties are judgements, not frequencies.
 */
final class CauseRules {
  private static final int MOST_AGREEING = 3;
  private static final double BLIND = 0.9;
  private static final double NO_INPUT = 40;

  private CauseRules() {}

  /**
   * A class and how sure it is.
   *
   * @param cause null for advice
   * @param confidence 0 to 1, to two digits; null for advice
   */
  record Verdict(Cause cause, Double confidence) {}

  private record Rule(Cause cause, double certainty) {}

  static Verdict of(Incident incident) {
    Finding root = incident.root();
    if (root.kind().isAdvice()) {
      return new Verdict(null, null);
    }
    Rule rule = rule(incident);
    double alone = rule.certainty() * (1 + margin(root)) / 2;
    int agreeing = Math.min(MOST_AGREEING, agreeing(incident, rule.cause()));
    double confidence =
        (1 - (1 - alone) * Math.pow(2 / 3.0, agreeing))
            * Math.pow(BLIND, incident.blindSpots().size());
    return new Verdict(rule.cause(), Math.round(100 * confidence) / 100.0);
  }

  private static Rule rule(Incident incident) {
    Finding root = incident.root();
    Background background = incident.known();
    Change rate = background.change(Change.LEARNING_RATE);
    Nature nature = Nature.of(root.kind());
    return switch (root.kind()) {
      case NON_FINITE -> {
        if (root.isOfSkips()) {
          yield new Rule(Cause.NUMERIC, 0.9);
        }
        FindingKind began = explosionBefore(incident);
        if (began != null) {
          yield new Rule(Nature.of(began).cause(), 0.7);
        }
        if (background.isTorn()) {
          yield new Rule(Cause.OPTIMISER, 0.7);
        }
        if (root.layer() != null) {
          yield new Rule(Cause.NUMERIC, 0.7);
        }
        if (rate != null && rate.isRise()) {
          yield new Rule(Cause.OPTIMISER, 0.6);
        }
        yield new Rule(Cause.NUMERIC, background.narrow() ? 0.8 : nature.certainty());
      }
      case EXPLODING_SPIKE ->
          rate == null && (background.surge().wasOneBatch() || background.isOfInputs())
              ? new Rule(Cause.DATA, 0.7)
              : new Rule(nature.cause(), nature.certainty());
      case RANK_DIVERGENCE ->
          root.sign() == Sign.ALL_ZERO && background.narrow()
              ? new Rule(Cause.NUMERIC, 0.6)
              : new Rule(ofRank(root), nature.certainty());
      case DEAD_LAYER ->
          background.narrow() && !root.isOfExperts()
              ? new Rule(Cause.NUMERIC, 0.6)
              : new Rule(nature.cause(), nature.certainty());
      case CONTRACT ->
          root.isOfRecords()
              ? new Rule(Cause.DELIVERY, 0.9)
              : new Rule(nature.cause(), nature.certainty());
      default -> new Rule(nature.cause(), nature.certainty());
    };
  }

  /**
   * What is fed to a rank reaches all its layers; what fails in it need not. No input makes a
   * finite gradient {@value #NO_INPUT} octaves larger than the peers': a flipped bit of an exponent
   * does.
   */
  private static Cause ofRank(Finding root) {
    Sign sign = root.sign();
    boolean isLarger = sign == Sign.LARGER || sign == Sign.LARGER_AT_TIMES;
    if (isLarger && root.observed() > NO_INPUT) {
      return Cause.HARDWARE;
    }
    return switch (sign) {
      case LARGER, SMALLER, LARGER_AT_TIMES, APART_FROM_THE_OTHERS, LOSS_ABOVE_THE_OTHERS ->
          Cause.DATA;
      case FEW_LAYERS, ALL_ZERO, AGAINST_THE_OTHERS -> Cause.HARDWARE;
    };
  }

  /** What grew before anything was non-finite; null if nothing did. */
  private static FindingKind explosionBefore(Incident incident) {
    return incident.chain().stream()
        .filter(link -> link.kind().isExplosion())
        .filter(link -> link.step() < incident.root().onsetStep())
        .map(Alert.Link::kind)
        .findFirst()
        .orElse(null);
  }

  private static double margin(Finding root) {
    if (Nature.of(root.kind()).isFact() || root.threshold() == 0) {
      return 1;
    }
    double ratio = Math.abs(root.observed() / root.threshold());
    double margin = 1 - Math.min(ratio, 1 / ratio);
    return Double.isNaN(margin) ? 0 : margin;
  }

  private static int agreeing(Incident incident, Cause cause) {
    Background background = incident.known();
    long kinds =
        incident.chain().stream()
            .map(Alert.Link::kind)
            .filter(kind -> kind != incident.root().kind())
            .distinct()
            .filter(kind -> Nature.of(kind).cause() == cause)
            .count();
    long changes =
        background.changes().stream().filter(change -> explainedBy(change) == cause).count();
    boolean isNarrow = cause == Cause.NUMERIC && background.narrow();
    return (int) (kinds + changes) + (isNarrow ? 1 : 0);
  }

  /** What a change speaks for; null if for nothing. */
  private static Cause explainedBy(Change change) {
    return switch (change.what()) {
      case Change.LEARNING_RATE, Change.CLIP_NORM, Change.BATCH -> Cause.OPTIMISER;
      case Change.LOSS_SCALE -> Cause.NUMERIC;
      default -> null;
    };
  }
}
