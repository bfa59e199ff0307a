package io.gradflow.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.core.norm.Limits;
import java.time.Duration;
import java.util.Map;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.junit.jupiter.api.Test;

/** Who goes before whom, and one clear sentence for each mistake. */
class JobSettingsTest {
  private static final String SERVERS = "--gradflow.kafka.bootstrap.servers";

  private final Configuration flink = new Configuration();

  @Test
  void anArgumentGoesBeforeTheEnvironmentBeforeFlinkBeforeTheDefault() {
    var prefix = GradflowOptions.GROUP_ID_PREFIX;
    Map<String, String> environment = Map.of("GRADFLOW_KAFKA_GROUP_ID_PREFIX", "environment");
    String[] arguments = {"--gradflow.kafka.group.id.prefix", "argument"};
    String[] none = {};

    assertThat(JobSettings.resolve(none, Map.of(), flink).get(prefix)).isEqualTo("gradflow");
    flink.setString("gradflow.kafka.group.id.prefix", "flink");
    assertThat(JobSettings.resolve(none, Map.of(), flink).get(prefix)).isEqualTo("flink");
    assertThat(JobSettings.resolve(none, environment, flink).get(prefix)).isEqualTo("environment");
    assertThat(JobSettings.resolve(arguments, environment, flink).get(prefix))
        .isEqualTo("argument");
  }

  @Test
  void kafkasOwnPropertiesPassFromEverywhere() {
    flink.setString("gradflow.kafka.properties.security.protocol", "SSL");
    flink.setString("execution.checkpointing.interval", "3 s");
    Map<String, String> environment =
        Map.of("GRADFLOW_KAFKA_PROPERTIES_SASL_MECHANISM", "PLAIN", "PATH", "/bin");

    var settings = resolve(environment, "--gradflow.kafka.properties.client.rack", "r1");

    assertThat(settings.kafkaProperties())
        .isEqualTo(
            Map.of("security.protocol", "SSL", "sasl.mechanism", "PLAIN", "client.rack", "r1"));
  }

  @Test
  void choicesAreSetByTheirWords() {
    var settings =
        resolve("--gradflow.source.start", "latest", "--gradflow.alerts.delivery", "exactly-once");

    assertThat(settings.get(GradflowOptions.START)).isEqualTo(GradflowOptions.Start.LATEST);
    assertThat(settings.get(GradflowOptions.ALERT_DELIVERY))
        .isEqualTo(GradflowOptions.Delivery.EXACTLY_ONCE);
  }

  @Test
  void limitsAreNumbersAndSizes() {
    var settings = resolve("--gradflow.limits.runs", "7", "--gradflow.limits.bytes", "1 gb");

    assertThat(settings.limits()).isEqualTo(new Limits(7, Limits.defaults().layers(), 1L << 30));
    assertRefused(
        "option gradflow.limits.runs: expected a whole number such as 1000, got 'many'",
        "--gradflow.limits.runs",
        "many");
    assertRefused(
        "option gradflow.limits.bytes: expected a size such as 256 mb, got 'much'",
        "--gradflow.limits.bytes",
        "much");
    assertRefused(
        "option gradflow.limits.layers: expected 1 or more, got 0",
        "--gradflow.limits.layers",
        "0");
  }

  @Test
  void anUnknownArgumentIsRefused() {
    assertRefused(
        "unknown argument 'broker:9092': expected --gradflow.<option> <value>, e.g."
            + " --gradflow.kafka.bootstrap.servers broker:9092",
        "broker:9092");
    assertRefused(
        "unknown argument '--help': expected --gradflow.<option> <value>, e.g."
            + " --gradflow.kafka.bootstrap.servers broker:9092",
        "--help");
  }

  @Test
  void anArgumentWithoutValueIsRefused() {
    String line =
        "argument --gradflow.kafka.bootstrap.servers has no value: expected"
            + " --gradflow.kafka.bootstrap.servers <value>";
    assertRefused(line, SERVERS);
    assertRefused(line, SERVERS, "--gradflow.source.start", "latest");
  }

  @Test
  void aMisspeltOptionIsRefusedWithThoseThereAre() {
    String known =
        "expected one of gradflow.kafka.bootstrap.servers, gradflow.kafka.group.id.prefix,"
            + " gradflow.source.start, gradflow.alerts.delivery,"
            + " gradflow.alerts.transactional.id.prefix, gradflow.schema.registry.url,"
            + " gradflow.limits.runs, gradflow.limits.layers, gradflow.limits.bytes, or"
            + " gradflow.kafka.properties.<name>";
    assertRefused(
        "unknown option gradflow.kafka.bootstrap.server in the arguments: " + known,
        "--gradflow.kafka.bootstrap.server",
        "broker:9092");
    assertRefused(
        "unknown option gradflow.kafka.properties. in the arguments: " + known,
        "--gradflow.kafka.properties.",
        "SSL");
    flink.setString("gradflow.alert.delivery", "exactly-once");
    assertRefused(
        "unknown option gradflow.alert.delivery in Flink's configuration: " + known,
        SERVERS,
        "broker:9092");
  }

  @Test
  void theTrainersVariablesAreTheirOwn() {
    assertThat(
            resolve(Map.of("GRADFLOW_RUN", "gpt", "GRADFLOW_KAFKA_SECURITY_PROTOCOL", "SSL"))
                .kafkaProperties())
        .isEmpty();
  }

  @Test
  void aWrongChoiceIsRefusedAtOnce() {
    assertRefused(
        "option gradflow.alerts.delivery: expected at-least-once or exactly-once, got 'none'",
        "--gradflow.alerts.delivery",
        "none");
    assertThatThrownBy(() -> resolve(Map.of("GRADFLOW_SOURCE_START", "yesterday")))
        .hasMessage("option gradflow.source.start: expected earliest or latest, got 'yesterday'");
  }

  @Test
  void withoutBrokersBothJobsSayHowToNameThem() {
    String line =
        "option gradflow.kafka.bootstrap.servers is not set: pass"
            + " --gradflow.kafka.bootstrap.servers <value>, or set"
            + " GRADFLOW_KAFKA_BOOTSTRAP_SERVERS";
    assertThatThrownBy(() -> NormJob.define(new StreamExecutionEnvironment(flink), resolve()))
        .isInstanceOf(UnusableSettings.class)
        .hasMessage(line);
    assertThatThrownBy(() -> AlertJob.define(new StreamExecutionEnvironment(flink), resolve()))
        .isInstanceOf(UnusableSettings.class)
        .hasMessage(line);
  }

  @Test
  void aMistakeIsOneLineForWhoeverStartsAJobByHand() {
    for (String option : new String[] {"--gradflow.typo", "--gradflow.alerts.delivery"}) {
      assertThatThrownBy(() -> NormJob.main(new String[] {option, "x"}))
          .isInstanceOf(UnusableSettings.class)
          .hasNoCause()
          .satisfies(
              e -> {
                assertThat(e.getStackTrace()).isEmpty();
                assertThat(e.getMessage()).doesNotContain("\n");
              });
    }
  }

  @Test
  void whereTheClusterIsSilentTheJobsChoose() {
    var environment = new StreamExecutionEnvironment(flink);

    JobSettings.prepare(environment);

    var set = environment.getConfiguration();
    assertThat(set.get(PipelineOptions.MAX_PARALLELISM)).isEqualTo(360);
    assertThat(set.get(CheckpointingOptions.CHECKPOINTING_INTERVAL))
        .isEqualTo(Duration.ofSeconds(10));
    assertThat(set.get(ExecutionOptions.BUFFER_TIMEOUT)).isEqualTo(Duration.ofMillis(5));
    assertThat(environment.getMaxParallelism()).isEqualTo(360);
    assertThat(environment.getCheckpointInterval()).isEqualTo(10_000);
  }

  @Test
  void theClustersChoicesWinWhereTheyAreATasteAndOnlyThere() {
    flink.set(PipelineOptions.MAX_PARALLELISM, 720);
    flink.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(3));
    flink.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(50));
    flink.set(PipelineOptions.GENERIC_TYPES, true);
    flink.set(PipelineOptions.AUTO_GENERATE_UIDS, true);
    var environment = new StreamExecutionEnvironment(flink);

    JobSettings.prepare(environment);

    assertThat(environment.getMaxParallelism()).isEqualTo(720);
    assertThat(environment.getCheckpointInterval()).isEqualTo(3_000);
    assertThat(environment.getBufferTimeout()).isEqualTo(50);
    assertThat(environment.getConfiguration().get(PipelineOptions.GENERIC_TYPES)).isFalse();
    assertThat(environment.getConfig().hasAutoGeneratedUIDsEnabled()).isFalse();
  }

  private JobSettings resolve(String... arguments) {
    return JobSettings.resolve(arguments, Map.of(), flink);
  }

  private JobSettings resolve(Map<String, String> environment, String... arguments) {
    return JobSettings.resolve(arguments, environment, flink);
  }

  private void assertRefused(String line, String... arguments) {
    assertThatThrownBy(() -> resolve(arguments))
        .isInstanceOf(UnusableSettings.class)
        .hasMessage(line);
  }
}
