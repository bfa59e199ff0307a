package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class AlertFollowerTest {
  private static final Duration SOON = Duration.ofSeconds(10);
  private static final InstantSource NOON = InstantSource.fixed(Instant.ofEpochMilli(43_200_000));
  private static final long ATTEMPT = 1_700_000_000_000L;
  private static final String TOPIC = Topic.ALERTS.topicName();
  private static final TopicPartition FIRST = new TopicPartition(TOPIC, 0);
  private static final TopicPartition SECOND = new TopicPartition(TOPIC, 1);

  private final PublisherOptions options = PublisherOptions.of("unused:9092", "gpt", ATTEMPT, 0);
  private final List<AlertFollower> followers = new ArrayList<>();

  /**
   * A topic of two partitions. Waits without holding its own lock, so that it can be given more.
   */
  @SuppressWarnings("UnsynchronizedOverridesSynchronized")
  private static class Kafka extends MockConsumer<byte[], byte[]> {
    private final CountDownLatch assigned = new CountDownLatch(1);
    private long next;

    Kafka(boolean hasTopic) {
      super("earliest");
      if (hasTopic) {
        updatePartitions(
            TOPIC,
            List.of(
                new PartitionInfo(TOPIC, 0, null, null, null),
                new PartitionInfo(TOPIC, 1, null, null, null)));
      }
      updateBeginningOffsets(Map.of(FIRST, 0L, SECOND, 0L));
      updateEndOffsets(Map.of(FIRST, 0L, SECOND, 0L));
    }

    @Override
    public ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
      assigned.countDown();
      ConsumerRecords<byte[], byte[]> records = super.poll(Duration.ZERO);
      if (records.isEmpty()) {
        LockSupport.parkNanos(1_000_000);
      }
      return records;
    }

    void add(Alert... alerts) throws InterruptedException {
      for (Alert alert : alerts) {
        add(alert.runId(), Codecs.ALERTS.encode(alert).get(0).value());
      }
    }

    void add(String run, byte[] value) throws InterruptedException {
      assigned.await();
      byte[] key = Topic.key(run).getBytes(StandardCharsets.UTF_8);
      addRecord(new ConsumerRecord<>(TOPIC, 0, next++, key, value));
    }
  }

  @AfterEach
  void end() {
    followers.forEach(AlertFollower::close);
  }

  private AlertFollower follower(AlertFilter filter, Kafka kafka) {
    return started(new AlertFollower(options, filter, () -> kafka, null, NOON));
  }

  private AlertFollower started(AlertFollower follower) {
    followers.add(follower);
    return follower;
  }

  private static List<Alert> pending(AlertFollower follower, int count) {
    List<Alert> alerts = new ArrayList<>();
    await()
        .atMost(SOON)
        .until(
            () -> {
              alerts.addAll(follower.pending());
              return alerts.size() >= count;
            });
    return alerts;
  }

  @Test
  void eachTransitionIsPendingOnceInOrder() throws InterruptedException {
    Kafka kafka = new Kafka(true);
    AlertFollower follower = follower(AlertFilter.of(options), kafka);
    Alert opened = alert("a", 0, Alert.State.OPENED);
    Alert updated = alert("a", 1, Alert.State.UPDATED);
    Alert other = alert("b", 0, Alert.State.OPENED);
    Alert resolved = alert("a", 2, Alert.State.RESOLVED);
    // A job that was restored publishes again what it had published.
    kafka.add(opened, updated, other, opened, updated, other, resolved);

    assertThat(pending(follower, 4))
        .extracting(Alert::alertId)
        .containsExactly("a-0", "a-1", "b-0", "a-2");
    assertThat(follower.pending()).isEmpty();
    kafka.add(resolved, alert("a", 3, Alert.State.UPDATED));
    assertThat(pending(follower, 1)).extracting(Alert::alertId).containsExactly("a-3");
  }

  @Test
  void onlyWhatThePublisherPublishesIsFollowedUnlessSaidOtherwise() throws InterruptedException {
    Kafka kafka = new Kafka(true);
    AlertFollower own = follower(AlertFilter.of(options), kafka);
    kafka.add(
        of("other", ATTEMPT, "main"),
        of("gpt", ATTEMPT - 1, "main"),
        of("gpt", ATTEMPT, "generator"),
        of("gpt", ATTEMPT, "main"));
    assertThat(pending(own, 1))
        .extracting(Alert::incidentId)
        .containsExactly("gpt " + ATTEMPT + " main");

    Kafka again = new Kafka(true);
    AlertFollower any = follower(new AlertFilter("gpt", null, null), again);
    again.add(
        of("other", ATTEMPT, "main"),
        of("gpt", ATTEMPT - 1, "main"),
        of("gpt", ATTEMPT, "generator"));
    assertThat(pending(any, 2))
        .extracting(Alert::incidentId)
        .containsExactly("gpt " + (ATTEMPT - 1) + " main", "gpt " + ATTEMPT + " generator");
  }

  @Test
  void alertsFromBeforeAreThoseOfTheAttemptThatIsFollowed() throws InterruptedException {
    Map<TopicPartition, Long> ends = Map.of(FIRST, 7L, SECOND, 5L);
    Kafka kafka = new Kafka(true);
    kafka.updateEndOffsets(ends);
    follower(AlertFilter.of(options), kafka);
    kafka.assigned.await();
    assertThat(kafka.position(FIRST)).isZero();
    assertThat(kafka.position(SECOND)).isZero();

    Kafka again = new Kafka(true);
    again.updateEndOffsets(ends);
    follower(new AlertFilter("gpt", null, "main"), again);
    again.assigned.await();
    assertThat(again.position(FIRST)).isEqualTo(7);
    assertThat(again.position(SECOND)).isEqualTo(5);
  }

  @Test
  void aFunctionIsCalledOnTheFollowersThreadAndMayFail() throws InterruptedException {
    Kafka kafka = new Kafka(true);
    List<String> called = new CopyOnWriteArrayList<>();
    List<Thread> threads = new CopyOnWriteArrayList<>();
    AlertFollower follower =
        started(
            new AlertFollower(
                options,
                AlertFilter.of(options),
                () -> kafka,
                alert -> {
                  called.add(alert.alertId());
                  threads.add(Thread.currentThread());
                  throw new AssertionError("the user's own");
                },
                NOON));
    kafka.add(alert("a", 0, Alert.State.OPENED), alert("a", 1, Alert.State.UPDATED));
    kafka.add(alert("a", 1, Alert.State.UPDATED), alert("b", 0, Alert.State.OPENED));
    await().atMost(SOON).until(() -> called.size() == 3);
    assertThat(called).containsExactly("a-0", "a-1", "b-0");
    assertThat(threads).allMatch(Thread::isDaemon).doesNotContain(Thread.currentThread());
    assertThat(follower.pending()).isEmpty();
  }

  @Test
  void whatCannotBeReadIsPassedOver() throws InterruptedException {
    Kafka kafka = new Kafka(true);
    AlertFollower follower = follower(AlertFilter.of(options), kafka);
    kafka.add("gpt", new byte[] {1, 2, 3});
    kafka.add("gpt", null);
    kafka.add(alert("a", 0, Alert.State.OPENED));
    assertThat(pending(follower, 1)).extracting(Alert::alertId).containsExactly("a-0");
  }

  @Test
  void followingIsTakenUpWhereItBroke() throws InterruptedException {
    Kafka none = new Kafka(false);
    Kafka breaks = new Kafka(true);
    Kafka next = new Kafka(true);
    AtomicInteger made = new AtomicInteger();
    AlertFollower follower =
        started(
            new AlertFollower(
                options,
                new AlertFilter("gpt", null, null),
                () ->
                    switch (made.getAndIncrement()) {
                      case 0 -> throw new KafkaException("No resolvable bootstrap urls");
                      case 1 -> none;
                      case 2 -> breaks;
                      default -> next;
                    },
                null,
                NOON));
    breaks.updateEndOffsets(Map.of(FIRST, 0L, SECOND, 5L));
    // By the time it is back there is more.
    next.updateEndOffsets(Map.of(FIRST, 9L, SECOND, 9L));
    breaks.add(alert("a", 0, Alert.State.OPENED));
    assertThat(pending(follower, 1)).extracting(Alert::alertId).containsExactly("a-0");
    breaks.setPollException(new KafkaException("broken"));
    next.assigned.await();
    assertThat(next.position(FIRST)).isEqualTo(1);
    assertThat(next.position(SECOND)).isEqualTo(5);
    assertThat(none.closed()).isTrue();
    assertThat(breaks.closed()).isTrue();
  }

  @Test
  void ofTooManyTheLatestArePending() throws InterruptedException {
    Kafka kafka = new Kafka(true);
    AlertFollower follower = follower(AlertFilter.of(options), kafka);
    for (int transition = 0; transition < 1_010; transition++) {
      kafka.add(alert("a", transition, Alert.State.UPDATED));
    }
    await().atMost(SOON).until(() -> kafka.position(FIRST) == 1_010);
    follower.close();
    List<Alert> pending = follower.pending();
    assertThat(pending).hasSize(1_000);
    assertThat(pending.get(0).transition()).isEqualTo(10);
    assertThat(pending.get(999).transition()).isEqualTo(1_009);
  }

  @Test
  @SuppressWarnings("UnsynchronizedOverridesSynchronized") // or waking would wait for what waits
  void closingEndsInTimeWithADeadBroker() {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch woken = new CountDownLatch(1);
    Kafka dead =
        new Kafka(true) {
          @Override
          public List<PartitionInfo> partitionsFor(String topic) {
            asked.countDown();
            try {
              woken.await();
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
            throw new WakeupException();
          }

          @Override
          public void wakeup() {
            woken.countDown();
          }
        };
    AlertFollower follower = follower(AlertFilter.of(options), dead);
    await().atMost(SOON).until(() -> asked.getCount() == 0);
    long start = System.nanoTime();
    follower.close();
    follower.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(2));
    assertThat(dead.closed()).isTrue();
    assertThat(follower.pending()).isEmpty();
  }

  @Test
  void closingEndsInTimeWhereNoBrokerIs() {
    AlertFollower follower =
        AlertFollower.follow(PublisherOptions.of("127.0.0.1:9", "nobody's", ATTEMPT, 0));
    String name = "gradflow follower of run nobody's rank 0";
    await()
        .atMost(SOON)
        .until(
            () ->
                Thread.getAllStackTraces().entrySet().stream()
                    .anyMatch(
                        thread ->
                            thread.getKey().getName().equals(name)
                                && Arrays.stream(thread.getValue())
                                    .anyMatch(at -> at.getMethodName().equals("partitionsFor"))));
    long start = System.nanoTime();
    follower.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(4));
    assertThat(follower.pending()).isEmpty();
    await()
        .atMost(SOON)
        .until(
            () ->
                Thread.getAllStackTraces().keySet().stream()
                    .noneMatch(thread -> thread.getName().equals(name)));
  }

  @Test
  void closingDoesNotWaitForAFunctionThatDoesNotEnd() throws InterruptedException {
    Kafka kafka = new Kafka(true);
    CountDownLatch called = new CountDownLatch(1);
    CountDownLatch release = new CountDownLatch(1);
    AtomicInteger interrupted = new AtomicInteger();
    AlertFollower follower =
        started(
            new AlertFollower(
                options,
                AlertFilter.of(options),
                () -> kafka,
                alert -> {
                  called.countDown();
                  try {
                    release.await();
                  } catch (InterruptedException e) {
                    interrupted.incrementAndGet();
                  }
                },
                NOON));
    kafka.add(alert("a", 0, Alert.State.OPENED), alert("b", 0, Alert.State.OPENED));
    called.await();
    long start = System.nanoTime();
    follower.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(4));
    release.countDown();
    await().atMost(SOON).until(kafka::closed);
    // A checkpoint that is being written must not be torn.
    assertThat(interrupted).hasValue(0);
  }

  @Test
  void switchedOffThereAreNone() {
    AlertFollower follower =
        started(
            new AlertFollower(
                options.off(),
                AlertFilter.of(options),
                () -> {
                  throw new AssertionError("connects");
                },
                null,
                NOON));
    assertThat(follower.pending()).isEmpty();
    follower.close();
    try (AlertFollower real = AlertFollower.follow(options.off())) {
      assertThat(real.pending()).isEmpty();
    }
  }

  @Test
  void aConsumerIsNotGivenWhatOnlyAProducerKnows() {
    PublisherOptions secured =
        PublisherOptions.fromEnvironment(
            Map.of(
                "GRADFLOW_BOOTSTRAP_SERVERS", "broker:9092",
                "GRADFLOW_RUN", "gpt",
                "GRADFLOW_ATTEMPT", "1",
                "GRADFLOW_RANK", "5",
                "GRADFLOW_KAFKA_SECURITY_PROTOCOL", "SSL",
                "GRADFLOW_KAFKA_BUFFER_MEMORY", "1000000"));
    assertThat(AlertFollower.consumerProperties(secured))
        .containsEntry("bootstrap.servers", "broker:9092")
        .containsEntry("security.protocol", "SSL")
        .doesNotContainKeys("buffer.memory", "group.id");
  }

  @Test
  void aRunWithoutANameIsNone() {
    assertThatThrownBy(() -> new AlertFilter("", null, null))
        .hasMessage("runId: expected 1 to 500 characters, got ");
  }

  static Alert alert(String incident, int transition, Alert.State state) {
    return alert(
        incident,
        transition,
        state,
        FindingKind.EXPLODING_SPIKE,
        Severity.WARNING,
        "gpt",
        ATTEMPT,
        "main");
  }

  private static Alert of(String run, long attempt, String stream) {
    return alert(
        run + " " + attempt + " " + stream,
        0,
        Alert.State.OPENED,
        FindingKind.EXPLODING_SPIKE,
        Severity.WARNING,
        run,
        attempt,
        stream);
  }

  static Alert alert(
      String incident,
      int transition,
      Alert.State state,
      FindingKind kind,
      Severity severity,
      String run,
      long attempt,
      String stream) {
    return new Alert(
        incident + "-" + transition,
        incident,
        transition,
        run,
        attempt,
        stream,
        state,
        kind,
        severity,
        12,
        14,
        11,
        null,
        "head.weight",
        null,
        null,
        null,
        List.of(),
        List.of(),
        null,
        "The gradient of head.weight grew ×300 within a step.",
        null,
        List.of(),
        0.9,
        1,
        false,
        43_200_000,
        Alert.Context.NONE);
  }
}
