package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.Properties;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class SourcePositionsTest {
  private static final TopicPartition PARTITION = new TopicPartition("read-by-tests", 0);

  /** What a source registers its gauges with. */
  private static final MetricGroup SOURCE =
      new UnregisteredMetricsGroup() {
        @Override
        public Map<String, String> getAllVariables() {
          return Map.of(
              "<job_name>",
              "job of tests",
              "<topic>",
              PARTITION.topic(),
              "<partition>",
              Integer.toString(PARTITION.partition()));
        }
      };

  private final MetricReporter reporter =
      new SourcePositions.Factory().createMetricReporter(new Properties());

  @Test
  void whatAClusterThatEndedHadReadIsForgotten() {
    Gauge<Long> offset = () -> 41L;
    reporter.notifyOfAddedMetric(offset, "currentOffset", SOURCE);
    assertThat(SourcePositions.of("job of tests", PARTITION)).isEqualTo(42);

    reporter.close();

    assertThat(SourcePositions.of("job of tests", PARTITION)).isZero();
  }

  @Test
  void whatIsRemovedIsForgotten() {
    Gauge<Long> offset = () -> 41L;
    reporter.notifyOfAddedMetric(offset, "currentOffset", SOURCE);
    reporter.notifyOfRemovedMetric(offset, "currentOffset", SOURCE);

    assertThat(SourcePositions.of("job of tests", PARTITION)).isZero();
  }
}
