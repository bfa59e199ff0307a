package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.StepId;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.jobs.NormJob;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.apache.kafka.common.TopicPartition;

/** What the jobs of a local stack make of what is published there. For one thread. */
final class Analysis implements AutoCloseable {
  private static final Duration LOOK = Duration.ofMillis(50);

  /** Longer than a step waits for a rank that does not come. */
  private static final Duration SILENCE = Duration.ofSeconds(25);

  private static final Duration SETTLING = Duration.ofMinutes(5);

  private final String bootstrapServers;
  private final TopicReader results;
  private final Incidents incidents = new Incidents();
  private final List<Alert> transitions = new ArrayList<>();
  private final Map<Lane, Long> furthest = new HashMap<>();
  private final Set<String> runs = new TreeSet<>();
  private long steps;
  private long deadLetters;
  private long news;

  /** A training of which steps leave in order. */
  private record Lane(String run, long attempt, String stream) {
    static Lane of(StepId id) {
      return new Lane(id.runId(), id.attempt(), id.stream());
    }
  }

  /**
   * Looks at the topics of results from their beginning.
   *
   * @param transitions told of every change of an incident, once
   */
  Analysis(String bootstrapServers, Consumer<Alert> transitions) {
    this.bootstrapServers = bootstrapServers;
    this.results =
        new TopicReader(bootstrapServers, WriterSchemas.known())
            .with(Codecs.STEPS, this::step)
            .with(
                Codecs.ALERTS,
                alert -> {
                  if (incidents.add(alert)) {
                    this.transitions.add(alert);
                    transitions.accept(alert);
                  }
                })
            .withRaw(Topic.DEAD_LETTERS, letter -> deadLetters++);
  }

  private void step(Step step) {
    // Steps leave in order: one that is not beyond the others is a part or a revision.
    if (!hasCome(step.id())) {
      steps++;
      furthest.put(Lane.of(step.id()), step.id().step());
    }
    runs.add(step.id().runId());
    news = System.nanoTime();
  }

  /** Reads what comes within the time. */
  void look(Duration limit) {
    results.poll(limit);
  }

  /**
   * Returns when everything that was published before has been judged and read back.
   *
   * @param lastSteps of the trainings whose shards were published; a step that lacks a rank waits
   *     for its timeout
   * @return what is missing, a sentence each
   */
  List<String> settle(LocalJobs jobs, List<StepId> lastSteps) throws InterruptedException {
    List<String> missing = new ArrayList<>();
    Map<TopicPartition, Long> declarations = ends(Topic.MANIFESTS, Topic.RUNS);
    Map<TopicPartition, Long> shards = ends(Topic.SHARDS, Topic.BLOCKS);
    news = System.nanoTime();
    while (!lastSteps.stream().allMatch(this::hasCome)) {
      look(LOOK);
      jobs.throwIfFailed();
      if (!jobs.hasRead(NormJob.NAME, shards)) {
        news = System.nanoTime();
      } else if (System.nanoTime() - news > SILENCE.toNanos()) {
        lastSteps.stream()
            .filter(last -> !hasCome(last))
            .forEach(
                last ->
                    missing.add(
                        "%s of attempt %d stream %s: expected steps up to %d, got none after %d: the recording ends before that step was whole"
                            .formatted(
                                last.runId(),
                                last.attempt(),
                                last.stream(),
                                last.step(),
                                furthest.getOrDefault(Lane.of(last), -1L))));
        break;
      }
    }
    Map<TopicPartition, Long> judged = new HashMap<>(declarations);
    judged.putAll(ends(Topic.STEPS));
    if (!jobs.awaitAlertsOf(judged, SETTLING)) {
      missing.add(
          "AlertJob has not read all steps within %d s: incidents may be missing"
              .formatted(SETTLING.toSeconds()));
    }
    results.readToEnd();
    return missing;
  }

  private boolean hasCome(StepId last) {
    return furthest.getOrDefault(Lane.of(last), -1L) >= last.step();
  }

  private Map<TopicPartition, Long> ends(Topic... topics) {
    try (TopicReader reader = new TopicReader(bootstrapServers, WriterSchemas.known())) {
      for (Topic topic : topics) {
        reader.withRaw(topic, record -> {});
      }
      return reader.ends();
    }
  }

  /** One line for people. */
  String summary() {
    return "%d steps, %d incidents, %d pieces of advice, %d dead letters"
        .formatted(steps, incidents.faults().size(), incidents.advice().size(), deadLetters);
  }

  /**
   * One JSON object on one line: {@code incidents} and {@code advice} as the demo's report shows
   * them, {@code alerts} every transition as {@code gradflow alerts} shows it.
   */
  String report(long records) {
    ObjectNode report = new ObjectMapper().createObjectNode();
    ArrayNode names = report.putArray("runs");
    runs.forEach(names::add);
    report.put("records", records).put("steps", steps);
    ArrayNode summaries = report.putArray("incidents");
    incidents.faults().forEach(alert -> summaries.add(AlertText.summary(alert)));
    ArrayNode advice = report.putArray("advice");
    incidents.advice().forEach(alert -> advice.add(AlertText.advice(alert)));
    ArrayNode alerts = report.putArray("alerts");
    transitions.forEach(alert -> alerts.add(AlertText.transition(alert)));
    report.put("deadLetters", deadLetters);
    return report.toString();
  }

  @Override
  public void close() {
    results.close();
  }
}
