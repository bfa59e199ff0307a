package io.gradflow.dashboard.forward;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import java.time.InstantSource;
import org.junit.jupiter.api.Test;

class ForwardMetricsTest {
  @Test
  void everythingIsThereFromTheStartAndNothingElseIsALabel() {
    ForwardMetrics metrics = new ForwardMetrics(InstantSource.fixed(Instant.ofEpochMilli(60_000)));
    metrics.add("webhook-0");
    assertThat(metrics.text())
        .contains(
            "gradflow_forward_delivered_total{target=\"webhook-0\"} 0.0",
            "gradflow_forward_failed_total{target=\"webhook-0\"} 0.0",
            "gradflow_forward_retries_total{target=\"webhook-0\"} 0.0",
            "gradflow_forward_waiting{target=\"webhook-0\"} 0.0",
            "gradflow_forward_behind_seconds{target=\"webhook-0\"} 0.0");

    metrics.delivered("webhook-0", 2);
    metrics.failed("webhook-0", 1);
    metrics.waiting("webhook-0", 7);
    metrics.behindSince("webhook-0", 45_000);

    assertThat(metrics.text())
        .contains(
            "gradflow_forward_delivered_total{target=\"webhook-0\"} 2.0",
            "gradflow_forward_failed_total{target=\"webhook-0\"} 1.0",
            "gradflow_forward_waiting{target=\"webhook-0\"} 7.0",
            "gradflow_forward_behind_seconds{target=\"webhook-0\"} 15.0");
    assertThat(Forwarder.metricNames())
        .containsExactly(
            "gradflow_forward_behind_seconds",
            "gradflow_forward_delivered_total",
            "gradflow_forward_failed_total",
            "gradflow_forward_retries_total",
            "gradflow_forward_waiting");
  }
}
