package io.gradflow.dashboard.forward;

import io.gradflow.core.Origin;
import io.gradflow.core.incident.Alert;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;

/** Each transition once and in order, one a request. */
final class WebhookQueue implements Outbox {
  private record Waiting(Alert alert, Origin origin) {}

  private final Links links;
  private final Transitions transitions = new Transitions();
  private final Deque<Waiting> queue = new ArrayDeque<>();

  WebhookQueue(Links links) {
    this.links = links;
  }

  @Override
  public void remember(Alert alert, Origin origin) {
    transitions.add(alert);
  }

  @Override
  public void take(Alert alert, Origin origin) {
    if (transitions.add(alert)) {
      queue.add(new Waiting(alert, origin));
    }
  }

  /** One poll's worth is held, and the next is read when it is gone. */
  @Override
  public boolean hasRoom() {
    return queue.isEmpty();
  }

  @Override
  public Optional<Parcel> next(long nowMs) {
    return Optional.ofNullable(queue.peek())
        .map(
            first ->
                new Parcel(
                    AlertJson.webhook(first.alert, links), Optional.of(first.alert.alertId()), 1));
  }

  @Override
  public void settle(long nowMs) {
    queue.remove();
  }

  @Override
  public List<Origin> waiting() {
    return queue.stream().map(Waiting::origin).toList();
  }
}
