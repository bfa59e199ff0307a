package io.gradflow.dashboard.forward;

import java.net.http.HttpClient;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * Forwards alerts to targets, each on a thread and with a position of its own, so that none waits
 * for another.
 *
 * <p>A webhook is told each transition once and in order, unless this process dies between the
 * answer and the commit of its position: then one is told again, under the same Idempotency-Key. An
 * Alertmanager is told the newest of each incident. While a target is away, what waits stays in the
 * topic.
 */
public final class Forwarder implements AutoCloseable {
  private final ForwardMetrics metrics = new ForwardMetrics(InstantSource.system());
  private final List<Delivery> deliveries = new ArrayList<>();
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private final AtomicInteger running;

  private Forwarder(ForwardSettings settings, HttpClient http, Consumer<String> lines) {
    running = new AtomicInteger(settings.targets().size());
    try {
      for (Target target : settings.targets()) {
        metrics.add(target.name());
        deliveries.add(new Delivery(settings, target, http, metrics, lines, this::oneEnded));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** The first that cannot go on ends all; the others wait for each other. */
  private void oneEnded(Optional<ForwardingFailed> failure) {
    failure.ifPresent(ended::completeExceptionally);
    if (running.decrementAndGet() == 0) {
      ended.complete(null);
    }
  }

  /**
   * Starts to forward.
   *
   * @param http connects to the targets
   * @param lines progress and trouble, a line each; called from several threads
   * @throws ForwardingFailed if there is no broker or no topic
   */
  public static Forwarder start(ForwardSettings settings, HttpClient http, Consumer<String> lines) {
    Forwarder forwarder = new Forwarder(settings, http, lines);
    forwarder.deliveries.forEach(Delivery::start);
    return forwarder;
  }

  /** The client that a forwarder needs, which follows no redirects. */
  public static HttpClient.Builder client() {
    return HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(Duration.ofSeconds(5))
        .followRedirects(HttpClient.Redirect.NEVER);
  }

  /**
   * Waits until forwarding has ended: as the settings say, or because it was closed.
   *
   * @return how many transitions were refused for good
   * @throws ForwardingFailed if it cannot go on
   */
  public long awaitEnd() {
    try {
      ended.join();
      return deliveries.stream().mapToLong(Delivery::refused).sum();
    } catch (CompletionException e) {
      throw new ForwardingFailed(e.getCause().getMessage(), e.getCause());
    }
  }

  /** The metrics in Prometheus' text format. */
  public String metrics() {
    return metrics.text();
  }

  /** The names of all metrics. */
  public static Set<String> metricNames() {
    ForwardMetrics metrics = new ForwardMetrics(InstantSource.system());
    metrics.add("any");
    return metrics.names();
  }

  /** Ends within some seconds; a request under way is let finish for three. */
  @Override
  public void close() {
    deliveries.forEach(Delivery::stop);
    deliveries.forEach(Delivery::close);
  }
}
