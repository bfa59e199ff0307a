package io.gradflow.cli;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;
import org.apache.kafka.common.TopicPartition;

/**
 * How far the jobs in this JVM have read Kafka, from the gauges of their sources: at once, where
 * committed offsets follow ten seconds behind a topic that has gone quiet.
 */
public final class SourcePositions implements MetricReporter {
  private static final String GAUGE = "currentOffset";
  private static final Map<Metric, Source> SOURCES = new ConcurrentHashMap<>();

  /** Where a gauge belongs. */
  private record Source(String job, TopicPartition partition) {}

  private SourcePositions() {}

  /** Flink makes reporters by their factory. */
  public static final class Factory implements MetricReporterFactory {
    @Override
    public MetricReporter createMetricReporter(Properties properties) {
      return new SourcePositions();
    }
  }

  /**
   * The offset after the last record that the job's source has handed on.
   *
   * @param job name of the job
   * @return 0 before the first record
   */
  static long of(String job, TopicPartition partition) {
    Source wanted = new Source(job, partition);
    return SOURCES.entrySet().stream()
        .filter(entry -> entry.getValue().equals(wanted))
        .mapToLong(entry -> ((Number) ((Gauge<?>) entry.getKey()).getValue()).longValue() + 1)
        .max()
        .orElse(0);
  }

  @Override
  public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
    Map<String, String> of = group.getAllVariables();
    if (name.equals(GAUGE) && metric instanceof Gauge<?> && of.containsKey("<partition>")) {
      TopicPartition partition =
          new TopicPartition(of.get("<topic>"), Integer.parseInt(of.get("<partition>")));
      SOURCES.put(metric, new Source(of.get("<job_name>"), partition));
    }
  }

  @Override
  public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {
    SOURCES.remove(metric);
  }

  @Override
  public void open(MetricConfig config) {}

  @Override
  public void close() {}
}
