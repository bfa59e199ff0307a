package io.gradflow.schema;

import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;

/**
 * Finds the schema that a record was written with, from its first bytes.
 *
 * <p>Two framings are read: Avro's single-object encoding ({@code C3 01} and the schema's
 * CRC-64-AVRO fingerprint, little-endian), of schemas this build knows; and Confluent's ({@code 00}
 * and a 4-byte id, big-endian), of schemas in a registry, if one is configured. Only the first is
 * written. Not safe for use by several threads.
 */
public final class WriterSchemas {
  /** The option that names the registry; error texts refer to it. */
  public static final String REGISTRY_OPTION = "gradflow.schema.registry.url";

  private static final byte[] SINGLE_OBJECT = {(byte) 0xC3, 0x01};

  /** Bytes before the fields of what is framed as single object. */
  static final int SINGLE_OBJECT_HEADER = SINGLE_OBJECT.length + Long.BYTES;

  private static final byte CONFLUENT = 0;
  private static final int CONFLUENT_HEADER = 1 + Integer.BYTES;

  private final Map<Long, Schema> byFingerprint = new HashMap<>();
  private final SchemaRegistry registry;

  /** A record's schema, and where its fields begin. */
  record Framed(Schema writer, int bodyOffset) {}

  private WriterSchemas(List<Schema> others, SchemaRegistry registry) {
    this.registry = registry;
    ReleasedSchemas.all().forEach(schema -> byFingerprint.put(fingerprint(schema), schema));
    for (Topic topic : Topic.values()) {
      if (topic.schema() != null) {
        byFingerprint.put(fingerprint(topic.schema()), topic.schema());
      }
    }
    others.forEach(schema -> byFingerprint.put(fingerprint(schema), schema));
  }

  /** The schemas of this build and of every release before it. */
  public static WriterSchemas known() {
    return known(List.of());
  }

  /** Those, and further ones. */
  public static WriterSchemas known(List<Schema> others) {
    return new WriterSchemas(others, null);
  }

  /**
   * The schemas of this build and of every release before it, and those of a registry that speaks
   * Confluent's API.
   *
   * @param registry its base, e.g. {@code http://registry:8081}
   */
  public static WriterSchemas withRegistry(URI registry) {
    return new WriterSchemas(List.of(), new SchemaRegistry(registry, System::nanoTime));
  }

  /** The bytes that go before a record of this schema. */
  static byte[] header(Schema schema) {
    return ByteBuffer.allocate(SINGLE_OBJECT_HEADER)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(SINGLE_OBJECT)
        .putLong(fingerprint(schema))
        .array();
  }

  static boolean isSingleObject(byte[] value) {
    return value.length >= SINGLE_OBJECT_HEADER
        && value[0] == SINGLE_OBJECT[0]
        && value[1] == SINGLE_OBJECT[1];
  }

  /**
   * The run that a record speaks of, from its first field; the others are not looked at.
   *
   * @param value null for a deletion
   * @return empty if the schema cannot be found or does not begin with a run
   */
  public Optional<String> runOf(byte[] value) {
    if (value == null) {
      return Optional.empty();
    }
    try {
      Framed framed = find(value);
      boolean first =
          framed.writer().getType() == Schema.Type.RECORD
              && !framed.writer().getFields().isEmpty()
              && framed.writer().getFields().get(0).name().equals("runId")
              && framed.writer().getFields().get(0).schema().getType() == Schema.Type.STRING;
      return first
          ? Optional.of(new ByteReader(value, framed.bodyOffset()).readString())
          : Optional.empty();
    } catch (Malformed e) {
      return Optional.empty();
    }
  }

  /**
   * Reads the framing.
   *
   * @throws Malformed if there is none, or its schema cannot be found
   */
  Framed find(byte[] value) {
    if (isSingleObject(value)) {
      long fingerprint =
          ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN).getLong(SINGLE_OBJECT.length);
      Schema writer = byFingerprint.get(fingerprint);
      if (writer == null) {
        throw new Malformed(
            Undecodable.Reason.UNKNOWN_SCHEMA,
            String.format(
                Locale.ROOT,
                "expected the fingerprint of a schema of this release or an earlier one, got"
                    + " %016x: upgrade the jobs before the trainers",
                fingerprint));
      }
      return new Framed(writer, SINGLE_OBJECT_HEADER);
    }
    if (value.length >= CONFLUENT_HEADER && value[0] == CONFLUENT) {
      int id = ByteBuffer.wrap(value).getInt(1);
      if (registry == null) {
        throw new Malformed(
            Undecodable.Reason.UNKNOWN_SCHEMA,
            "expected a configured schema registry for a record with schema id "
                + id
                + ", got none: set "
                + REGISTRY_OPTION);
      }
      return new Framed(registry.schema(id), CONFLUENT_HEADER);
    }
    throw new Malformed(
        Undecodable.Reason.UNKNOWN_FRAMING,
        "expected Avro after C3 01 and a fingerprint, or after 00 and a schema id, got "
            + value.length
            + " bytes starting "
            + start(value));
  }

  private static long fingerprint(Schema schema) {
    return SchemaNormalization.parsingFingerprint64(schema);
  }

  private static String start(byte[] value) {
    StringBuilder hex = new StringBuilder();
    for (byte b : Arrays.copyOf(value, Math.min(value.length, SINGLE_OBJECT.length))) {
      hex.append(String.format(Locale.ROOT, hex.isEmpty() ? "%02X" : " %02X", b));
    }
    return hex.toString();
  }
}
