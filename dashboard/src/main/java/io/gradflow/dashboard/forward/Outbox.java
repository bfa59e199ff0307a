package io.gradflow.dashboard.forward;

import io.gradflow.core.Origin;
import io.gradflow.core.incident.Alert;
import java.util.List;
import java.util.Optional;

/**
 * What one target has yet to be told. Decides, and does nothing: time is an argument, and so is
 * what became of an attempt. For one thread.
 */
interface Outbox {
  /**
   * What goes out in one request.
   *
   * @param body JSON
   * @param idempotencyKey the same at each attempt; empty where repeating does no harm
   * @param transitions how many of those taken it tells; repetitions are none
   */
  record Parcel(String body, Optional<String> idempotencyKey, int transitions) {}

  /** Takes an alert that this target was told before, perhaps by an earlier process. */
  void remember(Alert alert, Origin origin);

  /** Takes an alert that is to be told. Copies of those before are passed over. */
  void take(Alert alert, Origin origin);

  /** Whether more should be read now; what is not read waits in the topic. */
  boolean hasRoom();

  /** What is to go out now, the same or something newer until it is {@link #settle settled}. */
  Optional<Parcel> next(long nowMs);

  /** The last parcel of {@link #next} was accepted, or refused for good. */
  void settle(long nowMs);

  /** Where the alerts taken and not settled were read, any number of each incident. */
  List<Origin> waiting();
}
