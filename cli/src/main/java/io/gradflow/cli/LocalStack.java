package io.gradflow.cli;

import io.gradflow.schema.Topic;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/**
 * What gradflow needs around it, on this machine, in this JVM: a broker with every topic, and a
 * Flink cluster.
 *
 * <p>The two start side by side. {@link #close()} stops them in reverse, also when the process is
 * interrupted, and leaves nothing on disk but the log.
 */
final class LocalStack implements AutoCloseable {
  private final CompletableFuture<LocalKafka> kafka;
  private final CompletableFuture<LocalFlink> flink;
  private final Thread atExit = new Thread(this::stop, "closing the local stack");
  private boolean stopped;

  private LocalStack(CompletableFuture<LocalKafka> kafka, CompletableFuture<LocalFlink> flink) {
    this.kafka = kafka;
    this.flink = flink;
  }

  /**
   * How the stack is set up.
   *
   * @param workspace where its data and its log go
   * @param kafkaPort the broker's port; empty for 9092, or any free one if that is taken
   * @param flinkPort the port of Flink's web page; empty for 8081, or any free one if that is taken
   * @param slots task slots of the Flink cluster, at least 1
   * @param partitions of every topic that has several, at least 1
   */
  record Settings(
      Workspace workspace,
      OptionalInt kafkaPort,
      OptionalInt flinkPort,
      int slots,
      int partitions) {
    Settings {
      if (slots < 1 || partitions < 1) {
        throw new IllegalArgumentException(
            "a stack has at least one slot and one partition, got %d and %d"
                .formatted(slots, partitions));
      }
    }
  }

  /**
   * Starts everything and returns when it can be used.
   *
   * @throws CommandFailed if a part does not start; what had started is stopped again
   */
  static LocalStack start(Settings settings, Progress progress) {
    int kafkaPort = Ports.ofKafka(settings.kafkaPort());
    int flinkPort = Ports.ofFlink(settings.flinkPort());
    LocalStack stack =
        new LocalStack(
            starting(
                () ->
                    progress.start(
                        "broker",
                        () -> LocalKafka.start(settings.workspace(), kafkaPort),
                        LocalKafka::bootstrapServers)),
            starting(
                () ->
                    progress.start(
                        "flink",
                        () -> LocalFlink.start(settings.workspace(), flinkPort, settings.slots()),
                        up -> up.web().toString())));
    Runtime.getRuntime().addShutdownHook(stack.atExit);
    try {
      stack.kafka.join();
      progress.start(
          "topics",
          () -> stack.createTopics(settings.partitions()),
          created -> created.size() + " created");
      stack.flink.join();
      return stack;
    } catch (CompletionException e) {
      stack.close();
      throw e.getCause() instanceof CommandFailed failed ? failed : e;
    } catch (CommandFailed e) {
      stack.close();
      throw e;
    }
  }

  private static <T> CompletableFuture<T> starting(Supplier<T> start) {
    return CompletableFuture.supplyAsync(start, task -> new Thread(task, "starting").start());
  }

  private List<Topic> createTopics(int partitions) {
    try (Topics topics = Topics.of(kafka().bootstrapServers())) {
      return topics.create(OptionalInt.of(partitions), Optional.empty());
    }
  }

  LocalKafka kafka() {
    return kafka.join();
  }

  LocalFlink flink() {
    return flink.join();
  }

  /** Stops what has started, the last one first; returns when it has stopped. */
  @Override
  public void close() {
    stop();
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      // The process is ending already, and the hook has found nothing left to stop.
    }
  }

  /**
   * Waits for each part to have started or failed, because a half-started one cannot be stopped.
   */
  private synchronized void stop() {
    if (stopped) {
      return;
    }
    stopped = true;
    // Jobs end before the broker they talk to; a part that did not start has nothing to close.
    flink.thenAccept(LocalFlink::close).exceptionally(failure -> null).join();
    kafka.thenAccept(LocalKafka::close).exceptionally(failure -> null).join();
  }
}
