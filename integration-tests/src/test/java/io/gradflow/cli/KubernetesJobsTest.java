package io.gradflow.cli;

import static io.gradflow.cli.Kustomization.map;
import static io.gradflow.cli.Kustomization.texts;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.gradflow.jobs.GradflowOptions;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Both jobs run as {@code deploy/k8s} has them: entry class, arguments and Flink's configuration
 * are the rendered ones, each on a Flink of its own. Only what a machine without Kubernetes lacks
 * is replaced: addresses, folders, and the leader election.
 */
class KubernetesJobsTest {
  private static final String PROMETHEUS_PORT = "metrics.reporter.prom.port";
  private static final int STEPS = 30;

  @TempDir private Path folder;

  private final List<JobsUnderTest> clusters = new ArrayList<>();
  private final List<Integer> prometheusPorts = new ArrayList<>();
  private LocalKafka kafka;

  @BeforeEach
  void start() throws Exception {
    kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(2), Optional.empty());
    }
    for (Map<String, Object> deployment :
        KubernetesTest.ofKind(Kustomization.render(KubernetesTest.EXAMPLE), "FlinkDeployment")) {
      start(KubernetesTest.name(deployment), map(deployment.get("spec")));
    }
  }

  private void start(String name, Map<String, Object> spec) throws Exception {
    Map<String, Object> job = map(spec.get("job"));
    int parallelism = (Integer) job.get("parallelism");
    Configuration flink = new Configuration();
    map(spec.get("flinkConfiguration"))
        .forEach((key, value) -> flink.setString(key, (String) value));
    flink.set(CoreOptions.DEFAULT_PARALLELISM, parallelism);
    replace(flink, GradflowOptions.BOOTSTRAP_SERVERS.key(), kafka.bootstrapServers());
    for (var option :
        List.of(
            CheckpointingOptions.CHECKPOINTS_DIRECTORY,
            CheckpointingOptions.SAVEPOINT_DIRECTORY,
            HighAvailabilityOptions.HA_STORAGE_PATH)) {
      replace(flink, option.key(), folder.resolve(name).resolve(option.key()).toUri().toString());
    }
    replace(flink, HighAvailabilityOptions.HA_MODE.key(), "NONE");
    prometheusPorts.add(Ports.anyFree());
    replace(flink, PROMETHEUS_PORT, prometheusPorts.get(prometheusPorts.size() - 1).toString());
    flink.set(CoreOptions.TMP_DIRS, folder.resolve(name).resolve("tmp").toString());
    JobsUnderTest cluster = new JobsUnderTest(flink, parallelism);
    clusters.add(cluster);
    String main = (String) job.get("entryClass");
    cluster.start(
        main,
        main.substring(main.lastIndexOf('.') + 1),
        texts(job.get("args")).toArray(String[]::new));
  }

  /** Only what was there can be replaced. */
  private static void replace(Configuration flink, String key, String value) {
    assertThat(flink.toMap()).containsKey(key);
    flink.setString(key, value);
  }

  @AfterEach
  void stop() throws Exception {
    for (JobsUnderTest cluster : clusters) {
      cluster.close();
    }
    kafka.close();
  }

  @Test
  void theJobsFindAFaultAndPrometheusSeesThem() throws Exception {
    TrainingPolicy policy = TrainingPolicy.ofSeed(31).withSteps(STEPS).withStepsPerSecond(100);
    DataParallelTraining training = new DataParallelTraining(policy, Scenario.NAN.fault(policy));
    try (PublishedRanks published =
        new PublishedRanks(
            kafka.bootstrapServers(), "a-run", 1, policy.ranks(), training.layers())) {
      training.run(published);
      published.finish();
    }

    Set<Long> steps = new HashSet<>();
    List<String> alerts = new ArrayList<>();
    await()
        .atMost(Duration.ofSeconds(60))
        .untilAsserted(
            () -> {
              try (TopicReader reader =
                  new TopicReader(kafka.bootstrapServers(), WriterSchemas.known())) {
                reader
                    .with(Codecs.STEPS, step -> steps.add(step.id().step()))
                    .with(Codecs.ALERTS, alert -> alerts.add(alert.message()))
                    .readToEnd();
              }
              assertThat(steps).hasSize(STEPS);
              assertThat(alerts).isNotEmpty();
            });
    for (int port : prometheusPorts) {
      String metrics = metrics(port);
      assertThat(metrics)
          .contains("flink_taskmanager_job_task_operator_gradflow_records_decoded{")
          .as("names of runs are no labels")
          .doesNotContain("a-run");
    }
  }

  private static String metrics(int port) throws IOException, InterruptedException {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/metrics")).build(),
            HttpResponse.BodyHandlers.ofString())
        .body();
  }
}
