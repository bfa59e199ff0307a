package io.gradflow.core.incident;

import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.detect.Wording;

/** What to do next about an incident, as one sentence: by its class, its kind and what is known. */
final class NextAction {
  private NextAction() {}

  /** The sentence; null for advice, which says itself what to do. */
  static String of(Incident incident, Cause cause) {
    return cause == null
        ? null
        : switch (cause) {
          case DATA -> data(incident);
          case HARDWARE -> hardware(incident);
          case NUMERIC -> numeric(incident);
          case OPTIMISER -> optimiser(incident);
          case DELIVERY -> delivery(incident);
        };
  }

  private static String data(Incident incident) {
    Finding root = incident.root();
    return root.rank() == null
        ? "Look at the batch of step %d; nothing is to be restarted while the loss is unharmed."
            .formatted(root.onsetStep())
        : "Look at what %s is fed: its shard of the data, order, labels and scaling; restart from %s if the loss suffered."
            .formatted(rank(root), checkpoint(incident));
  }

  private static String hardware(Incident incident) {
    Finding root = incident.root();
    return root.rank() == null
        ? "Compare the copies of %s rank by rank, take out the machine that differs, and restart from %s."
            .formatted(
                root.layer() == null ? "the gradient" : Wording.plain(root.layer()),
                checkpoint(incident))
        : "Take %s out, restart from %s, and run its memory and link diagnostics."
            .formatted(machine(root), checkpoint(incident));
  }

  private static String numeric(Incident incident) {
    Finding root = incident.root();
    if (root.isOfSkips()) {
      return "Restart from %s with a lower loss scale, or compute gradients in bfloat16."
          .formatted(checkpoint(incident));
    }
    if (root.kind() == FindingKind.UNDERFLOW) {
      return "Raise the loss scale, or compute gradients in bfloat16.";
    }
    String repair =
        root.layer() != null
            ? "guard %s against division by zero, logarithms of 0 and overflow"
                .formatted(Wording.plain(root.layer()))
            : incident.known().narrow()
                ? "lower the loss scale or compute gradients in bfloat16"
                : "look at loss and forward pass for division by zero, logarithms of 0 and overflow";
    return incident.severity() == Severity.CRITICAL
        ? "Restart from %s, and %s.".formatted(checkpoint(incident), repair)
        : "Skip steps that are not finite, and %s.".formatted(repair);
  }

  private static String optimiser(Incident incident) {
    Finding root = incident.root();
    String layer = root.layer() == null ? "the network" : Wording.plain(root.layer());
    Change rate = incident.known().change(Change.LEARNING_RATE);
    if (root.kind().isExplosion() && rate != null && rate.isRise()) {
      return "Restart from %s with the learning rate of before, %s."
          .formatted(checkpoint(incident), Wording.setting(rate.before()));
    }
    return switch (root.kind()) {
      case CONTRACT -> "Correct the trainer where the message says so; its own figures are wrong.";
      case OSCILLATION, EXPLODING_SHIFT, EXPLODING_TREND ->
          "Lower the learning rate%s; restart from %s if the loss does not recover."
              .formatted(root.layer() == null ? "" : " of " + layer, checkpoint(incident));
      case CLIP_SATURATION ->
          "Raise the clip or lower the learning rate: the clip alone decides how far steps go.";
      case EXPLODING_DEPTH ->
          "Look at initialisation and normalisation of the network before training on.";
      case DEAD_LAYER ->
          root.isOfExperts()
              ? "Strengthen the load balancing of %s; restart from %s if the loss suffered."
                  .formatted(layer, checkpoint(incident))
              : "Look whether %s still takes part in the loss, and at its bias and activation; restart from %s."
                  .formatted(layer, checkpoint(incident));
      case VANISHING_TREND, VANISHING_DEPTH ->
          "Look at initialisation, normalisation and skip connections of %s before training on."
              .formatted(layer);
      case NON_FINITE ->
          "Restart from %s with a lower learning rate.".formatted(checkpoint(incident));
      default ->
          "Lower the learning rate or clip the gradient; restart from %s if the loss does not recover."
              .formatted(checkpoint(incident));
    };
  }

  private static String delivery(Incident incident) {
    Finding root = incident.root();
    return switch (root.kind()) {
      case CONTRACT ->
          "Look for a second process that publishes as %s, and end it.".formatted(rank(root));
      case STRAGGLER -> "Look at load, clock and links of %s.".formatted(machine(root));
      case STALLED_RUN ->
          "Look whether the trainer still runs: at its processes, their logs and their way to the broker.";
      default -> "Look at the process of %s and its way to the broker.".formatted(rank(root));
    };
  }

  /** The root rank and where it runs. */
  private static String machine(Finding root) {
    String device = root.device() == null ? "" : ", " + Wording.plain(root.device());
    return root.host() == null
        ? "the machine of rank " + root.rank()
        : "host %s (rank %d%s)".formatted(Wording.plain(root.host()), root.rank(), device);
  }

  /** The root rank, and its host if it is known. */
  private static String rank(Finding root) {
    return "rank "
        + root.rank()
        + (root.host() == null ? "" : " on host " + Wording.plain(root.host()));
  }

  private static String checkpoint(Incident incident) {
    Long checkpoint = incident.known().lastCheckpoint();
    if (checkpoint != null) {
      return "the checkpoint of step " + checkpoint;
    }
    Long good = incident.lastGoodStep();
    return good == null ? "the beginning" : "a checkpoint of step %d or before".formatted(good);
  }
}
