package io.gradflow.schema;

import io.gradflow.core.Origin;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.function.BiFunction;
import org.apache.avro.Schema;

/**
 * Reads the values of one topic. Never throws on input, and needs memory and time in proportion to
 * the input's size. Not safe for use by several threads.
 *
 * @param <T> core's record for the topic, or {@code Object[]} for chosen fields of it
 */
public final class Decoder<T> {
  /** The largest record that is looked at, in bytes; writers split long before. */
  public static final int MAX_RECORD_BYTES = 4 << 20;

  private static final int MAX_PLANS = 1_000;

  private final Topic topic;
  private final RowType type;
  private final BiFunction<Row, Origin, T> mapping;
  private final WriterSchemas writers;
  private final IdentityHashMap<Schema, RowReader> plans = new IdentityHashMap<>();

  Decoder(Topic topic, RowType type, BiFunction<Row, Origin, T> mapping, WriterSchemas writers) {
    this.topic = topic;
    this.type = type;
    this.mapping = mapping;
    this.writers = writers;
  }

  /**
   * Reads chosen fields of a topic's values, as they were written: nothing is held against what the
   * fields mean. The others are skipped.
   *
   * <p>The array of a value has the chosen fields in their order: {@code String, Integer, Long,
   * Double, Boolean, byte[]}; arrays of numbers as primitive arrays, where NaN stands for null if
   * the items are nullable; other arrays as {@code List}, maps as {@code Map}, records as such an
   * array; null for null. A field that the record lacks has the default of the schema.
   *
   * @param fields a record schema of the name of the topic's, with some of its fields in any order,
   *     those of nested records likewise
   */
  public static Decoder<Object[]> ofFields(Topic topic, Schema fields, WriterSchemas writers) {
    return new Decoder<>(topic, RowType.of(fields), (row, origin) -> values(row), writers);
  }

  private static Object[] values(Row row) {
    Object[] values = new Object[row.type().schema().getFields().size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = value(row.get(i));
    }
    return values;
  }

  private static Object value(Object value) {
    if (value instanceof Row row) {
      return values(row);
    }
    return value instanceof List<?> list ? list.stream().map(Decoder::value).toList() : value;
  }

  /**
   * Reads one record's value.
   *
   * @param bytes the value as Kafka has it; null is {@link Undecodable.Reason#EMPTY}
   * @param origin where it was read, for what the value remembers and error texts say; null outside
   *     Kafka
   */
  public Decoded<T> decode(byte[] bytes, Origin origin) {
    try {
      return new Decoded<>(read(bytes, origin), null);
    } catch (Malformed e) {
      return failed(e.reason(), e.getMessage(), null, origin);
    } catch (RuntimeException | StackOverflowError e) {
      // No input known to us gets here. One that does must be a dead letter, not a restart.
      return failed(Undecodable.Reason.MALFORMED, "reading failed with " + e, e.toString(), origin);
    }
  }

  private T read(byte[] bytes, Origin origin) {
    if (bytes == null || bytes.length == 0) {
      throw new Malformed(Undecodable.Reason.EMPTY, "expected a value, got none");
    }
    if (bytes.length > MAX_RECORD_BYTES) {
      throw new Malformed(
          Undecodable.Reason.TOO_LARGE,
          "expected at most "
              + MAX_RECORD_BYTES
              + " bytes, got "
              + bytes.length
              + ": split the record into parts");
    }
    WriterSchemas.Framed framed = writers.find(bytes);
    ByteReader in = new ByteReader(bytes, framed.bodyOffset());
    Row row = plan(framed.writer()).read(in);
    if (in.remaining() > 0) {
      throw Malformed.bytes(
          "expected the record to end at byte "
              + (bytes.length - in.remaining())
              + ", got "
              + in.remaining()
              + " bytes more");
    }
    return mapping.apply(row, origin);
  }

  private RowReader plan(Schema writer) {
    RowReader plan = plans.get(writer);
    if (plan == null) {
      if (plans.size() >= MAX_PLANS) {
        plans.clear();
      }
      plan = new RowReader(writer, type);
      plans.put(writer, plan);
    }
    return plan;
  }

  private Decoded<T> failed(
      Undecodable.Reason reason, String sentence, String exception, Origin origin) {
    String where = origin == null ? topic.topicName() : origin.toString();
    return new Decoded<>(null, new Undecodable(reason, where + ": " + sentence, exception));
  }
}
