package io.gradflow.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Asks a Flink cluster through its REST interface. No answer is an answer: empty. */
final class FlinkRest {
  private static final Duration ANSWER = Duration.ofSeconds(3);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final URI web;
  private final HttpClient client = HttpClient.newBuilder().connectTimeout(ANSWER).build();

  FlinkRest(URI web) {
    this.web = web;
  }

  /** Whether the JobManager answers. */
  boolean answers() {
    return get("/overview").isPresent();
  }

  /** The addresses of the TaskManagers that have registered, by their resource ids. */
  Map<String, String> taskManagers() {
    Map<String, String> addresses = new HashMap<>();
    get("/taskmanagers")
        .ifPresent(
            answer ->
                answer
                    .path("taskmanagers")
                    .forEach(
                        one -> addresses.put(one.path("id").asText(), one.path("path").asText())));
    return addresses;
  }

  /**
   * How a job is.
   *
   * @param state Flink's word for it
   * @param allTasksRun whether no task is missing
   */
  record JobView(String state, boolean allTasksRun) {
    boolean runs() {
      return state.equals("RUNNING") && allTasksRun;
    }
  }

  /** The job of that id; empty if Flink does not know it. */
  Optional<JobView> job(String id) {
    return get("/jobs/overview")
        .flatMap(
            answer -> {
              for (JsonNode job : answer.path("jobs")) {
                if (job.path("jid").asText().equals(id)) {
                  JsonNode tasks = job.path("tasks");
                  return Optional.of(
                      new JobView(
                          job.path("state").asText(),
                          tasks.path("running").asInt() == tasks.path("total").asInt()));
                }
              }
              return Optional.empty();
            });
  }

  /** How often Flink itself restarted the job since it was submitted. */
  Optional<Integer> restarts(String id) {
    return get("/jobs/" + id + "/metrics?get=numRestarts")
        .map(answer -> answer.path(0).path("value"))
        .filter(JsonNode::isTextual)
        .map(JsonNode::asInt);
  }

  /** The latest failures of the job, the last one first, each as a stack trace. */
  List<String> failures(String id, int atMost) {
    List<String> traces = new ArrayList<>();
    get("/jobs/" + id + "/exceptions?maxExceptions=" + atMost)
        .ifPresent(
            answer ->
                answer
                    .path("exceptionHistory")
                    .path("entries")
                    .forEach(entry -> traces.add(entry.path("stacktrace").asText())));
    return traces;
  }

  /** When the job's last checkpoint was complete; empty before the first. */
  Optional<Instant> lastCheckpoint(String id) {
    return get("/jobs/" + id + "/checkpoints")
        .map(answer -> answer.path("latest").path("completed").path("latest_ack_timestamp"))
        .filter(JsonNode::isNumber)
        .map(millis -> Instant.ofEpochMilli(millis.asLong()));
  }

  private Optional<JsonNode> get(String path) {
    try {
      HttpResponse<byte[]> response =
          client.send(
              HttpRequest.newBuilder(web.resolve(path)).timeout(ANSWER).build(),
              HttpResponse.BodyHandlers.ofByteArray());
      return response.statusCode() == 200
          ? Optional.of(JSON.readTree(response.body()))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailed("interrupted while Flink was asked", e);
    }
  }
}
