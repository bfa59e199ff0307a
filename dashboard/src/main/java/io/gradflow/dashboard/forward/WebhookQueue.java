package io.gradflow.dashboard.forward;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.Origin;
import io.gradflow.core.incident.Alert;
import io.gradflow.dashboard.alert.AlertJson;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
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
                new Parcel(body(first.alert).toString(), Optional.of(first.alert.alertId()), 1));
  }

  private ObjectNode body(Alert alert) {
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("version", 1)
        .put("event", alert.state().name().toLowerCase(Locale.ROOT))
        .put("page", links.incident(alert).orElse(null))
        .put("runbook", links.runbook(alert).orElse(null))
        .set("alert", AlertJson.of(alert));
    return body;
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
