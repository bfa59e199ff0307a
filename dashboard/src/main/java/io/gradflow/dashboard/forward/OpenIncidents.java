package io.gradflow.dashboard.forward;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.gradflow.core.Origin;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.State;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What an Alertmanager has to be told: that an incident is open, again each minute, for it forgets;
 * and once that it has ended. Of an incident's transitions the newest counts.
 *
 * <p>Alertmanager tells alerts apart by their labels, so that these are frozen when an incident is
 * first told. Its severity alone may rise: then the alert of the lower one ends, and one of the
 * higher one begins. An incident of which nothing was heard for 30 days is forgotten, as the topic
 * forgets it.
 */
final class OpenIncidents implements Outbox {
  private static final Duration REPEATED = Duration.ofMinutes(1);
  private static final Duration KEPT = Duration.ofDays(30);
  private static final int MOST = 10_000;
  private static final int BATCH = 50;

  private static final class Open {
    private Notice notice;
    private long heardAt;
    private long dueAt;
    private Origin waitingSince;

    Open(Notice notice, long heardAt) {
      this.notice = notice;
      this.heardAt = heardAt;
    }
  }

  /** An alert that is over, of which nobody was told yet. */
  private record Ended(Notice notice, Origin waitingSince) {}

  private final Links links;
  private final Transitions transitions = new Transitions();
  private final Map<String, Open> open = new LinkedHashMap<>();
  private final List<Ended> ended = new ArrayList<>();
  private final List<Open> sent = new ArrayList<>();
  private int endedSent;

  OpenIncidents(Links links) {
    this.links = links;
  }

  @Override
  public void remember(Alert alert, Origin origin) {
    if (transitions.add(alert)) {
      apply(alert, origin);
    }
  }

  @Override
  public void take(Alert alert, Origin origin) {
    if (!transitions.add(alert)) {
      return;
    }
    Open before = open.get(alert.incidentId());
    Origin since = before == null || before.waitingSince == null ? origin : before.waitingSince;
    apply(alert, origin).ifPresent(over -> ended.add(new Ended(over, since)));
    Open after = open.get(alert.incidentId());
    if (after != null) {
      after.waitingSince = since;
      after.dueAt = 0;
    }
  }

  /** Returns what ends by it. */
  private Optional<Notice> apply(Alert alert, Origin origin) {
    long at = alert.detectedAt() > 0 ? alert.detectedAt() : origin.timestamp();
    Open incident = open.get(alert.incidentId());
    boolean over = alert.state() == State.RESOLVED || alert.state() == State.EXPIRED;
    if (incident == null) {
      if (!over) {
        open.put(alert.incidentId(), new Open(Notice.opening(alert, links, at), at));
        forgetTheOldest();
      }
      return Optional.empty();
    }
    Notice before = incident.notice;
    Notice now = before.updated(alert, links);
    boolean same = now.labels().equals(before.labels());
    if (over) {
      open.remove(alert.incidentId());
      return Optional.of((same ? now : before).ended(at));
    }
    incident.notice = now;
    incident.heardAt = at;
    return same ? Optional.empty() : Optional.of(before.ended(at));
  }

  private void forgetTheOldest() {
    if (open.size() > MOST) {
      Iterator<Open> oldest = open.values().iterator();
      oldest.next();
      oldest.remove();
    }
  }

  @Override
  public boolean hasRoom() {
    return ended.size() < MOST;
  }

  @Override
  public Optional<Parcel> next(long nowMs) {
    open.values().removeIf(incident -> nowMs - incident.heardAt > KEPT.toMillis());
    sent.clear();
    endedSent = Math.min(BATCH, ended.size());
    open.values().stream()
        .filter(incident -> nowMs >= incident.dueAt)
        .limit(BATCH - endedSent)
        .forEach(sent::add);
    if (endedSent + sent.size() == 0) {
      return Optional.empty();
    }
    ArrayNode alerts = JsonNodeFactory.instance.arrayNode();
    // In this order, so that one that ends and opens again is open.
    ended.subList(0, endedSent).forEach(end -> alerts.add(end.notice.json(nowMs)));
    sent.forEach(incident -> alerts.add(incident.notice.json(nowMs)));
    long news = sent.stream().filter(incident -> incident.waitingSince != null).count();
    return Optional.of(
        new Parcel(alerts.toString(), Optional.empty(), endedSent + Math.toIntExact(news)));
  }

  @Override
  public void settle(long nowMs) {
    ended.subList(0, endedSent).clear();
    for (Open incident : sent) {
      incident.dueAt = nowMs + REPEATED.toMillis();
      incident.waitingSince = null;
    }
  }

  @Override
  public List<Origin> waiting() {
    return Stream.concat(
            ended.stream().map(Ended::waitingSince),
            open.values().stream()
                .map(incident -> incident.waitingSince)
                .filter(origin -> origin != null))
        .toList();
  }
}
