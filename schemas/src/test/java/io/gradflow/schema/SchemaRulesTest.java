package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the schemas promise to readers such as Flink SQL, and to later releases. */
class SchemaRulesTest {
  private static Stream<Topic> topicsWithSchema() {
    return Stream.of(Topic.values()).filter(topic -> topic.schema() != null);
  }

  @ParameterizedTest
  @MethodSource("topicsWithSchema")
  void noEnumNoRecursionAndOnlyUnionsOfNullAndOneType(Topic topic) {
    assertPlain(topic.schema(), new HashSet<>());
  }

  private static void assertPlain(Schema schema, Set<String> within) {
    switch (schema.getType()) {
      case RECORD -> {
        assertThat(within).as("recursion").doesNotContain(schema.getFullName());
        Set<String> inside = new HashSet<>(within);
        inside.add(schema.getFullName());
        schema.getFields().forEach(field -> assertPlain(field.schema(), inside));
      }
      case ARRAY -> assertPlain(schema.getElementType(), within);
      case MAP -> assertPlain(schema.getValueType(), within);
      case UNION -> {
        assertThat(schema.getTypes()).hasSize(2);
        assertThat(schema.getTypes().get(0).getType()).isEqualTo(Schema.Type.NULL);
        assertPlain(schema.getTypes().get(1), within);
      }
      default ->
          assertThat(schema.getType())
              .isIn(
                  Schema.Type.STRING,
                  Schema.Type.BYTES,
                  Schema.Type.INT,
                  Schema.Type.LONG,
                  Schema.Type.FLOAT,
                  Schema.Type.DOUBLE,
                  Schema.Type.BOOLEAN);
    }
  }

  @ParameterizedTest
  @MethodSource("topicsWithSchema")
  void everyFieldIsDocumentedAndEveryNullableOneDefaultsToNull(Topic topic) {
    assertThat(topic.schema().getNamespace()).isEqualTo("io.gradflow.schema");
    assertThat(topic.schema().getDoc()).contains("Topic " + topic.topicName());
    for (Schema.Field field : allFields(topic.schema())) {
      assertThat(field.doc()).as(field.name()).isNotBlank();
      if (field.schema().getType() == Schema.Type.UNION) {
        assertThat(field.hasDefaultValue()).as(field.name()).isTrue();
      }
      if (field.schema().getType() == Schema.Type.ARRAY) {
        assertThat(field.hasDefaultValue()).as(field.name()).isTrue();
      }
    }
  }

  @ParameterizedTest
  @MethodSource("topicsWithSchema")
  void nobodyButTheTopicItselfHasItsFingerprintAndItReadsItself(Topic topic) {
    assertThat(
            SchemaCompatibility.checkReaderWriterCompatibility(topic.schema(), topic.schema())
                .getType())
        .isEqualTo(SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE);
    List<byte[]> headers =
        topicsWithSchema()
            .filter(other -> other != topic)
            .map(other -> WriterSchemas.header(other.schema()))
            .toList();
    assertThat(headers).doesNotContain(WriterSchemas.header(topic.schema()));
  }

  private static List<Schema.Field> allFields(Schema schema) {
    return switch (schema.getType()) {
      case RECORD ->
          schema.getFields().stream()
              .flatMap(f -> Stream.concat(Stream.of(f), allFields(f.schema()).stream()))
              .toList();
      case ARRAY -> allFields(schema.getElementType());
      case UNION -> allFields(schema.getTypes().get(1));
      default -> List.of();
    };
  }
}
