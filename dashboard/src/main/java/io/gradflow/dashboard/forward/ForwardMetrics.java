package io.gradflow.dashboard.forward;

import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.Gauge;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;

/** What can be seen of forwarding from outside, by target. */
final class ForwardMetrics {
  private final PrometheusRegistry registry = new PrometheusRegistry();
  private final Map<String, Long> behindSince = new ConcurrentHashMap<>();
  private final Counter delivered =
      Counter.builder()
          .name("gradflow_forward_delivered_total")
          .help("Transitions of incidents that the target has accepted.")
          .labelNames("target")
          .register(registry);
  private final Counter failed =
      Counter.builder()
          .name("gradflow_forward_failed_total")
          .help("Transitions that the target has refused for good: they are not told again.")
          .labelNames("target")
          .register(registry);
  private final Counter attempts =
      Counter.builder()
          .name("gradflow_forward_retries_total")
          .help("Requests that failed and are made again.")
          .labelNames("target")
          .register(registry);
  private final Gauge waiting =
      Gauge.builder()
          .name("gradflow_forward_waiting")
          .help("Records of gradient-alerts that are not yet told.")
          .labelNames("target")
          .register(registry);

  ForwardMetrics(InstantSource clock) {
    GaugeWithCallback.builder()
        .name("gradflow_forward_behind_seconds")
        .help("Age of the oldest alert not yet told; while no broker answers, how long that is so.")
        .labelNames("target")
        .callback(
            callback ->
                behindSince.forEach(
                    (target, since) ->
                        callback.call(Math.max(0, clock.millis() - since) / 1e3, target)))
        .register(registry);
  }

  /** A target, of which everything is zero. */
  void add(String target) {
    delivered.initLabelValues(target);
    failed.initLabelValues(target);
    attempts.initLabelValues(target);
    waiting.initLabelValues(target);
    behindSince.put(target, Long.MAX_VALUE);
  }

  void delivered(String target, int transitions) {
    delivered.labelValues(target).inc(transitions);
  }

  void failed(String target, int transitions) {
    failed.labelValues(target).inc(transitions);
  }

  void tryingAgain(String target) {
    attempts.labelValues(target).inc();
  }

  void waiting(String target, long records) {
    waiting.labelValues(target).set((double) records);
  }

  /** Since when a target is behind, ms since the epoch; in the future: it is not. */
  void behindSince(String target, long ms) {
    behindSince.put(target, ms);
  }

  /** The names of all. */
  Set<String> names() {
    Set<String> names = new TreeSet<>();
    text()
        .lines()
        .filter(line -> line.startsWith("# TYPE "))
        .forEach(line -> names.add(line.split(" ", -1)[2]));
    return names;
  }

  /** In Prometheus' text format. */
  String text() {
    try {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      PrometheusTextFormatWriter.create().write(out, registry.scrape());
      return out.toString(StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }
}
