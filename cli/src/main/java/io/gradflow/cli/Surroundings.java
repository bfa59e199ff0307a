package io.gradflow.cli;

import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.GradflowOptions.Delivery;
import io.gradflow.jobs.JobSettings;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.kafka.clients.producer.ProducerConfig;

/**
 * Holds the jobs' settings against what they will meet: brokers, topics, permissions, limits of
 * transactions, the schema registry. Changes nothing there.
 */
final class Surroundings {
  private static final Duration ANSWER = Duration.ofSeconds(4);

  private final JobSettings settings;
  private final ReadableConfig flink;
  private final List<String> problems = new ArrayList<>();

  /**
   * @param flink the configuration with what the jobs add to it
   */
  Surroundings(JobSettings settings, ReadableConfig flink) {
    this.settings = settings;
    this.flink = flink;
  }

  /**
   * Checks everything.
   *
   * @param online false to ask nobody
   * @return what is wrong, a sentence each
   */
  List<String> check(boolean online) {
    checkCheckpoints();
    if (online) {
      if (settings.has(GradflowOptions.BOOTSTRAP_SERVERS)) {
        checkCluster();
      }
      if (settings.has(GradflowOptions.REGISTRY_URL)) {
        checkRegistry(settings.get(GradflowOptions.REGISTRY_URL));
      }
    }
    return List.copyOf(problems);
  }

  private boolean exactlyOnce() {
    return settings.get(GradflowOptions.ALERT_DELIVERY) == Delivery.EXACTLY_ONCE;
  }

  /** A transaction stays open from one checkpoint to the next. */
  private void checkCheckpoints() {
    if (!exactlyOnce()) {
      return;
    }
    Optional<Duration> interval = flink.getOptional(CheckpointingOptions.CHECKPOINTING_INTERVAL);
    Duration timeout = settings.transactionTimeout();
    if (interval.isPresent() && interval.get().compareTo(timeout) >= 0) {
      problems.add(
          "%s exactly-once: expected checkpoints more often than transactions time out, every %d s at most, got %s of %d s; alerts would be lost"
              .formatted(
                  GradflowOptions.ALERT_DELIVERY.key(),
                  timeout.toSeconds() / 2,
                  CheckpointingOptions.CHECKPOINTING_INTERVAL.key(),
                  interval.get().toSeconds()));
    }
  }

  private void checkCluster() {
    try (Topics topics =
        Topics.of(settings.get(GradflowOptions.BOOTSTRAP_SERVERS), settings.kafkaProperties())) {
      problems.addAll(topics.check(OptionalInt.empty(), Optional.empty()));
      problems.addAll(topics.denied(List.of(Principal.NORM_JOB, Principal.ALERT_JOB)));
      if (exactlyOnce()) {
        Duration longest = topics.longestTransaction();
        Duration timeout = settings.transactionTimeout();
        if (timeout.compareTo(longest) > 0) {
          problems.add(
              "%s exactly-once: expected transactions of at most %d s, the brokers' transaction.max.timeout.ms, got a timeout of %d s; lower %s%s or raise the brokers'"
                  .formatted(
                      GradflowOptions.ALERT_DELIVERY.key(),
                      longest.toSeconds(),
                      timeout.toSeconds(),
                      GradflowOptions.KAFKA_PROPERTIES_PREFIX,
                      ProducerConfig.TRANSACTION_TIMEOUT_CONFIG));
        }
      }
    } catch (CommandFailed e) {
      problems.add(e.getMessage());
    }
  }

  private void checkRegistry(String url) {
    String option = GradflowOptions.REGISTRY_URL.key();
    try {
      HttpResponse<Void> response =
          HttpClient.newBuilder()
              .connectTimeout(ANSWER)
              .build()
              .send(
                  HttpRequest.newBuilder(URI.create(url.replaceAll("/+$", "") + "/subjects"))
                      .timeout(ANSWER)
                      .build(),
                  HttpResponse.BodyHandlers.discarding());
      if (response.statusCode() != 200) {
        problems.add(
            "option %s: expected a schema registry at %s, got HTTP status %d"
                .formatted(option, url, response.statusCode()));
      }
    } catch (IOException | IllegalArgumentException e) {
      problems.add(
          "option %s: expected a schema registry at %s, got %s"
              .formatted(option, url, Causes.innermost(e)));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailed("interrupted while the schema registry was asked", e);
    }
  }
}
