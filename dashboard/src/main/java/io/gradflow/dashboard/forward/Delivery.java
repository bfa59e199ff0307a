package io.gradflow.dashboard.forward;

import io.gradflow.core.Origin;
import java.net.http.HttpClient;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.WakeupException;

/** One target's thread: reads, delivers, tries again, remembers how far it is. */
final class Delivery implements AutoCloseable {
  private static final Duration TICK = Duration.ofMillis(500);
  private static final Duration LOOKED = Duration.ofSeconds(10);
  private static final Duration SAID_AGAIN = Duration.ofMinutes(1);
  private static final Duration FINISHING = Duration.ofSeconds(3);

  private final ForwardSettings settings;
  private final Target target;
  private final ForwardMetrics metrics;
  private final Consumer<String> lines;
  private final Courier courier;
  private final Outbox outbox;
  private final AlertFeed feed;
  private final Thread thread;
  private final InstantSource clock = InstantSource.system();
  private final CountDownLatch stopped = new CountDownLatch(1);
  private final Consumer<Optional<ForwardingFailed>> ended;
  private final AtomicLong refused = new AtomicLong();

  // Of the thread alone.
  private boolean pastStart;
  private int failures;
  private long notBefore;
  private long saidAt;
  private long lookedAt;
  private long brokerAnsweredAt;
  private boolean brokerAway;
  private long unread;

  /**
   * Connects to the broker.
   *
   * @param ended called once, when the thread ends: with what kept it from going on, if anything
   *     did
   * @throws ForwardingFailed if there is no broker or no topic
   */
  Delivery(
      ForwardSettings settings,
      Target target,
      HttpClient http,
      ForwardMetrics metrics,
      Consumer<String> lines,
      Consumer<Optional<ForwardingFailed>> ended) {
    this.ended = ended;
    this.settings = settings;
    this.target = target;
    this.metrics = metrics;
    this.lines = line -> lines.accept(target + ": " + line);
    this.courier = new Courier(target, http);
    this.outbox =
        switch (target.kind()) {
          case ALERTMANAGER -> new OpenIncidents(settings.links());
          case WEBHOOK -> new WebhookQueue(settings.links());
        };
    this.feed =
        new AlertFeed(
            settings.kafka(), target.group(settings.groupPrefix()), settings.start(), this.lines);
    this.thread = new Thread(this::run, "forwarding to " + target.name());
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** How many transitions the target has refused for good. */
  long refused() {
    return refused.get();
  }

  private void run() {
    Optional<ForwardingFailed> failure = Optional.empty();
    try (feed) {
      brokerAnsweredAt = clock.millis();
      while (stopped.getCount() > 0 && !isDone()) {
        try {
          step();
        } catch (RetriableException e) {
          brokerIsAway();
          stopped.await(TICK.toMillis(), TimeUnit.MILLISECONDS);
        }
      }
    } catch (WakeupException | InterruptException | InterruptedException e) {
      // Asked to stop.
    } catch (RuntimeException e) {
      failure =
          Optional.of(
              new ForwardingFailed(
                  "%s: forwarding ended by %s; start again, it goes on where it was"
                      .formatted(target, e),
                  e));
    }
    ended.accept(failure);
  }

  private boolean isDone() {
    return settings.end() == ForwardSettings.End.CAUGHT_UP
        && pastStart
        && outbox.next(clock.millis()).isEmpty();
  }

  private void step() throws InterruptedException {
    long now = clock.millis();
    look(now);
    // Before history is read, an incident that is over might seem open.
    pastStart = pastStart || feed.isPastStart();
    boolean ready = now >= notBefore && (pastStart || !outbox.hasRoom());
    Optional<Outbox.Parcel> parcel = ready ? outbox.next(now) : Optional.empty();
    if (parcel.isPresent()) {
      deliver(parcel.get());
    } else {
      Duration pause = now < notBefore ? min(TICK, Duration.ofMillis(notBefore - now)) : TICK;
      if (outbox.hasRoom()) {
        feed.poll(pause, settings.selection(), outbox);
      } else {
        stopped.await(pause.toMillis(), TimeUnit.MILLISECONDS);
      }
    }
    settle();
  }

  private static Duration min(Duration a, Duration b) {
    return a.compareTo(b) < 0 ? a : b;
  }

  private void deliver(Outbox.Parcel parcel) throws InterruptedException {
    Courier.Answer answer = courier.deliver(parcel);
    long now = clock.millis();
    switch (answer.outcome()) {
      case DELIVERED -> {
        outbox.settle(now);
        metrics.delivered(target.name(), parcel.transitions());
        if (failures > 0) {
          lines.accept("accepts again after %d failures".formatted(failures));
        }
        failures = 0;
      }
      case REFUSED -> {
        outbox.settle(now);
        refused.addAndGet(parcel.transitions());
        metrics.failed(target.name(), parcel.transitions());
        lines.accept(
            "refused%s for good: %s"
                .formatted(
                    parcel.idempotencyKey().map(key -> " alert " + key).orElse(" alerts"),
                    answer.why()));
        failures = 0;
      }
      case FAILED -> {
        failures++;
        metrics.tryingAgain(target.name());
        Duration pause =
            Backoff.DEFAULT.after(
                failures, ThreadLocalRandom.current().nextDouble(), answer.pause());
        notBefore = now + pause.toMillis();
        if (failures == 1 || now - saidAt >= SAID_AGAIN.toMillis()) {
          saidAt = now;
          lines.accept(
              "%s; failure %d in a row, again in %.1f s"
                  .formatted(answer.why(), failures, pause.toMillis() / 1e3));
        }
      }
    }
  }

  /** Says and commits how far it is; what the broker does not take now, it is given later. */
  private void settle() {
    List<Origin> waiting = outbox.waiting();
    metrics.waiting(target.name(), waiting.size() + unread);
    long oldest = waiting.stream().mapToLong(Origin::timestamp).min().orElse(Long.MAX_VALUE);
    metrics.behindSince(target.name(), brokerAway ? Math.min(oldest, brokerAnsweredAt) : oldest);
    if (!brokerAway) {
      feed.commitAllBut(waiting);
    }
  }

  /** From time to time asks the broker how much is left, and so whether it is there. */
  private void look(long now) {
    if (now - lookedAt < LOOKED.toMillis()) {
      return;
    }
    lookedAt = now;
    unread = feed.unread();
    brokerAnsweredAt = now;
    if (brokerAway) {
      lines.accept("the broker answers again");
    }
    brokerAway = false;
  }

  private void brokerIsAway() {
    if (!brokerAway) {
      lines.accept("no Kafka broker answers; waiting for it");
    }
    brokerAway = true;
  }

  /** Asks the thread to end. */
  void stop() {
    stopped.countDown();
    feed.wakeUp();
  }

  @Override
  public void close() {
    stop();
    if (thread.getState() == Thread.State.NEW) {
      feed.close();
      return;
    }
    try {
      thread.join(FINISHING.toMillis());
      thread.interrupt();
      thread.join(FINISHING.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
