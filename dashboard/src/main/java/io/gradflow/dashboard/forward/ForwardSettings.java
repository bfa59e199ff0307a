package io.gradflow.dashboard.forward;

import java.util.List;
import java.util.Map;

/**
 * What is forwarded from where to whom.
 *
 * @param kafka properties of a consumer, {@code bootstrap.servers} among them
 * @param groupPrefix of the consumer groups, one a target
 * @param targets at least one
 * @param start where a target begins that was never told anything
 * @param end when forwarding ends
 */
public record ForwardSettings(
    Map<String, String> kafka,
    String groupPrefix,
    List<Target> targets,
    Selection selection,
    Links links,
    Start start,
    End end) {

  /** Where a target begins that was never told anything. */
  public enum Start {
    /** Everything in the topic is told. */
    EARLIEST,
    /** What comes from now on is told; and to an Alertmanager, what is open. */
    LATEST
  }

  /** When forwarding ends. */
  public enum End {
    /** When it is closed. */
    NEVER,
    /** When what was in the topic at the start has been told. */
    CAUGHT_UP
  }

  /** Copies the collections. */
  public ForwardSettings {
    kafka = Map.copyOf(kafka);
    targets = List.copyOf(targets);
  }
}
