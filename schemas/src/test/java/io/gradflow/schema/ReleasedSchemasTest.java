package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.SchemaCompatibilityType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What releases wrote is read by this build, and what this build writes is read by them. */
class ReleasedSchemasTest {
  private static final List<Codec<?>> CODECS =
      List.of(
          Codecs.MANIFESTS,
          Codecs.RUNS,
          Codecs.SHARDS,
          Codecs.BLOCKS,
          Codecs.STEPS,
          Codecs.WINDOWS,
          Codecs.ALERTS,
          Codecs.RULES);

  static Stream<Arguments> schemas() {
    return Stream.of(Topic.values())
        .filter(topic -> topic.schema() != null)
        .flatMap(
            topic -> ReleasedSchemas.RELEASES.stream().map(release -> Arguments.of(release, topic)))
        .filter(arguments -> schema(arguments) != null);
  }

  private static Schema schema(Arguments arguments) {
    return ReleasedSchemas.of((String) arguments.get()[0], (Topic) arguments.get()[1]);
  }

  @ParameterizedTest
  @MethodSource("schemas")
  void readersAndWritersOfAllReleasesUnderstandEachOther(String release, Topic topic) {
    Schema released = ReleasedSchemas.of(release, topic);
    assertReads(topic.schema(), released);
    assertReads(released, topic.schema());
    assertThat(topic.schema().getFields().stream().map(Schema.Field::name))
        .as("no field is renamed or taken away")
        .containsAll(released.getFields().stream().map(Schema.Field::name).toList());
  }

  private static void assertReads(Schema reader, Schema writer) {
    var found = SchemaCompatibility.checkReaderWriterCompatibility(reader, writer);
    assertThat(found.getType())
        .as(found.getDescription())
        .isEqualTo(SchemaCompatibilityType.COMPATIBLE);
  }

  static Stream<Arguments> records() {
    return CODECS.stream()
        .flatMap(
            codec ->
                ReleasedSchemas.RELEASES.stream().map(release -> Arguments.of(release, codec)));
  }

  @ParameterizedTest
  @MethodSource("records")
  void aRecordOfAReleaseIsRead(String release, Codec<?> codec) throws IOException {
    Properties golden = new Properties();
    try (InputStream in =
        ReleasedSchemasTest.class.getResourceAsStream("golden-" + release + ".properties")) {
      golden.load(in);
    }
    String record = golden.getProperty("record." + codec.topic().topicName());
    Decoded<?> decoded =
        codec.decoder(WriterSchemas.known()).decode(HexFormat.of().parseHex(record), null);
    assertThat(decoded.failure()).isNull();
    assertThat(decoded.value()).isNotNull();
  }
}
