package io.gradflow.cli;

import io.gradflow.schema.Topic;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * Waits until a job has read a topic to its end.
 *
 * <p>A job commits its offsets when a checkpoint is complete, and its sinks have flushed by then:
 * once the committed offsets are at the end, everything that follows from the topic's records is in
 * the job's output topics, or waits in its state.
 */
final class Drain implements AutoCloseable {
  private static final Duration POLL = Duration.ofMillis(100);

  private final Admin admin;

  Drain(String bootstrapServers) {
    this.admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers));
  }

  /**
   * Waits.
   *
   * @return whether the group's committed offsets reached, within the time, the end the topic had
   *     at the call
   */
  boolean await(String group, Topic topic, Duration limit) throws InterruptedException {
    long deadline = System.nanoTime() + limit.toNanos();
    try {
      Map<TopicPartition, Long> ends = ends(topic);
      while (!reached(group, ends)) {
        if (System.nanoTime() > deadline) {
          return false;
        }
        TimeUnit.MILLISECONDS.sleep(POLL.toMillis());
      }
      return true;
    } catch (ExecutionException | TimeoutException e) {
      throw new CommandFailed(
          "the broker does not say how far %s has read %s: %s"
              .formatted(group, topic.topicName(), Causes.innermost(e)),
          e);
    }
  }

  private Map<TopicPartition, Long> ends(Topic topic)
      throws ExecutionException, InterruptedException, TimeoutException {
    TopicDescription description =
        admin
            .describeTopics(List.of(topic.topicName()))
            .allTopicNames()
            .get(5, TimeUnit.SECONDS)
            .get(topic.topicName());
    Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
    description
        .partitions()
        .forEach(
            p ->
                asked.put(
                    new TopicPartition(topic.topicName(), p.partition()), OffsetSpec.latest()));
    Map<TopicPartition, Long> ends = new HashMap<>();
    for (Map.Entry<TopicPartition, ListOffsetsResultInfo> end :
        admin.listOffsets(asked).all().get(5, TimeUnit.SECONDS).entrySet()) {
      ends.put(end.getKey(), end.getValue().offset());
    }
    return ends;
  }

  private boolean reached(String group, Map<TopicPartition, Long> ends)
      throws ExecutionException, InterruptedException, TimeoutException {
    Map<TopicPartition, OffsetAndMetadata> committed =
        admin
            .listConsumerGroupOffsets(group)
            .partitionsToOffsetAndMetadata()
            .get(5, TimeUnit.SECONDS);
    return ends.entrySet().stream()
        .allMatch(
            end -> {
              OffsetAndMetadata at = committed.get(end.getKey());
              return end.getValue() == 0 || (at != null && at.offset() >= end.getValue());
            });
  }

  @Override
  public void close() {
    admin.close(Duration.ofSeconds(1));
  }
}
