package io.gradflow.schema;

import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;

/**
 * The schema of recordings: Avro container files with one envelope for each Kafka record. The
 * envelope holds the value as the record it is, so that every Avro tool reads it; a value that is
 * not exactly of its topic's schema is held as the bytes it was.
 */
final class RecordingFormat {
  /** The topics of which records are kept, in the order of their branches. */
  static final List<Topic> TOPICS =
      List.of(Topic.MANIFESTS, Topic.RUNS, Topic.SHARDS, Topic.BLOCKS, Topic.STEPS);

  private static final String NAME = "io.gradflow.schema.GradientRecord";

  static final Schema SCHEMA = schema();

  private RecordingFormat() {}

  private static Schema schema() {
    List<Schema> branches = new ArrayList<>(TOPICS.stream().map(Topic::schema).toList());
    branches.add(Schema.create(Schema.Type.BYTES));
    return SchemaBuilder.record(NAME)
        .doc("A record of one of gradflow's topics as it was in Kafka.")
        .fields()
        .requiredString("topic")
        .requiredInt("partition")
        .requiredLong("offset")
        .requiredLong("timestamp")
        .requiredString("run")
        .name("key")
        .type()
        .unionOf()
        .nullType()
        .and()
        .bytesType()
        .endUnion()
        .noDefault()
        .name("value")
        .type(Schema.createUnion(branches))
        .noDefault()
        .endRecord();
  }

  /** The schemas of values in a file of this format; null if the file is of another. */
  static List<Schema> branches(Schema file) {
    if (file.getType() != Schema.Type.RECORD
        || !file.getFullName().equals(NAME)
        || file.getFields().size() != SCHEMA.getFields().size()) {
      return null;
    }
    int value = SCHEMA.getField("value").pos();
    for (Schema.Field own : SCHEMA.getFields()) {
      Schema.Field field = file.getFields().get(own.pos());
      boolean same = own.pos() == value || field.schema().equals(own.schema());
      if (!field.name().equals(own.name()) || !same) {
        return null;
      }
    }
    Schema values = file.getFields().get(value).schema();
    return values.getType() == Schema.Type.UNION ? values.getTypes() : null;
  }
}
