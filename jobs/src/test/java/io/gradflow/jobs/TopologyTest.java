package io.gradflow.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.apache.flink.streaming.api.transformations.KeyedMultipleInputTransformation;
import org.apache.flink.streaming.api.transformations.OneInputTransformation;
import org.apache.flink.streaming.api.transformations.TwoInputTransformation;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What savepoints and the network see of the jobs, without a cluster. */
class TopologyTest {
  /** One of the two jobs. */
  private record Job(String name, BiConsumer<StreamExecutionEnvironment, JobSettings> definition) {

    StreamExecutionEnvironment defined(String... arguments) {
      var environment = new StreamExecutionEnvironment(new Configuration());
      String[] all =
          Stream.concat(
                  Stream.of("--gradflow.kafka.bootstrap.servers", "nowhere:9092"),
                  Stream.of(arguments))
              .toArray(String[]::new);
      definition.accept(
          environment, JobSettings.resolve(all, Map.of(), environment.getConfiguration()));
      return environment;
    }

    List<String> frozenUids() throws IOException {
      try (InputStream in = TopologyTest.class.getResourceAsStream("uids-" + name + ".txt")) {
        return new String(in.readAllBytes(), StandardCharsets.UTF_8)
            .lines()
            .filter(line -> !line.startsWith("#"))
            .toList();
      }
    }

    @Override
    public String toString() {
      return name;
    }
  }

  private static Stream<Job> jobs() {
    return Stream.of(new Job("norm-job", NormJob::define), new Job("alert-job", AlertJob::define));
  }

  @ParameterizedTest
  @MethodSource("jobs")
  void theUidsAreThoseOfEarlierSavepoints(Job job) throws IOException {
    for (String delivery : List.of("at-least-once", "exactly-once")) {
      StreamGraph graph = job.defined("--gradflow.alerts.delivery", delivery).getStreamGraph();

      assertThat(graph.getStreamNodes())
          .allSatisfy(
              node ->
                  assertThat(node.getTransformationUID())
                      .as("uid of '%s'", node.getOperatorName())
                      .isNotBlank());
      assertThat(graph.getStreamNodes().stream().map(StreamNode::getTransformationUID).sorted())
          .as(
              "uids of %s with delivery %s. A savepoint finds an operator's state by its uid: one that"
                  + " is gone loses its state at the next upgrade. If that is meant, edit"
                  + " jobs/src/test/resources/io/gradflow/jobs/uids-%s.txt, and say in CHANGELOG.md"
                  + " which savepoints can no longer be restored",
              job.name(), delivery, job.name())
          .containsExactlyElementsOf(job.frozenUids());
    }
  }

  @ParameterizedTest
  @MethodSource("jobs")
  void nothingThatTravelsNeedsKryo(Job job) {
    var environment = job.defined();
    assertThat(environment.getConfiguration().get(PipelineOptions.GENERIC_TYPES)).isFalse();
    var config = new SerializerConfigImpl();
    config.setGenericTypes(false);

    Set<TypeInformation<?>> types = new LinkedHashSet<>();
    for (Transformation<?> end : environment.getTransformations()) {
      for (Transformation<?> one : end.getTransitivePredecessors()) {
        types.add(one.getOutputType());
        if (keyType(one) != null) {
          types.add(keyType(one));
        }
      }
    }

    assertThat(types).hasSizeGreaterThan(5);
    assertThat(types)
        .allSatisfy(
            type -> assertThatCode(() -> type.createSerializer(config)).doesNotThrowAnyException());
  }

  private static TypeInformation<?> keyType(Transformation<?> transformation) {
    if (transformation instanceof OneInputTransformation<?, ?> one) {
      return one.getStateKeyType();
    }
    if (transformation instanceof TwoInputTransformation<?, ?, ?> two) {
      return two.getStateKeyType();
    }
    return transformation instanceof KeyedMultipleInputTransformation<?> many
        ? many.getStateKeyType()
        : null;
  }
}
