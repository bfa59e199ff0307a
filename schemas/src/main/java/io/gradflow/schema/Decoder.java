package io.gradflow.schema;

import io.gradflow.core.Origin;
import java.util.IdentityHashMap;
import org.apache.avro.Schema;

/**
 * Reads the values of one topic. Never throws on input, and needs memory and time in proportion to
 * the input's size. Not safe for use by several threads.
 *
 * @param <T> core's record for the topic
 */
public final class Decoder<T> {
  /** The largest record that is looked at, in bytes; writers split long before. */
  public static final int MAX_RECORD_BYTES = 4 << 20;

  private static final int MAX_PLANS = 1_000;

  private final Topic topic;
  private final Codec.Mapping<T> mapping;
  private final WriterSchemas writers;
  private final IdentityHashMap<Schema, RowReader> plans = new IdentityHashMap<>();

  Decoder(Topic topic, Codec.Mapping<T> mapping, WriterSchemas writers) {
    this.topic = topic;
    this.mapping = mapping;
    this.writers = writers;
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
    return mapping.fromRow(row, origin);
  }

  private RowReader plan(Schema writer) {
    RowReader plan = plans.get(writer);
    if (plan == null) {
      if (plans.size() >= MAX_PLANS) {
        plans.clear();
      }
      plan = new RowReader(writer, topic.rowType());
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
