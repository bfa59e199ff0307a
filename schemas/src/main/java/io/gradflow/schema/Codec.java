package io.gradflow.schema;

import io.gradflow.core.Origin;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * One topic's way between values and Kafka records. Immutable; safe for use by several threads.
 *
 * @param <T> core's record for the topic
 */
public final class Codec<T> {
  private final Topic topic;
  private final Mapping<T> mapping;
  private final byte[] header;

  /** What differs from topic to topic. */
  interface Mapping<T> {
    /** The value's fields. */
    Row toRow(T value, RowType type);

    /**
     * The value of these fields.
     *
     * @throws Malformed if there can be no such value
     */
    T fromRow(Row row, Origin origin);

    /** The key of the value's record. */
    String key(T value);

    /** How many layers the value can be split by. */
    default int layers(T value) {
      return 1;
    }

    /** The whole value as so many parts of about equally many layers, 1 to {@link #layers}. */
    default List<T> split(T value, int parts) {
      throw new UnsupportedOperationException("records of this topic are never split");
    }

    /** The whole value of all its parts, in order. */
    default T join(List<T> parts) {
      throw new UnsupportedOperationException("records of this topic are never joined");
    }
  }

  Codec(Topic topic, Mapping<T> mapping) {
    this.topic = topic;
    this.mapping = mapping;
    this.header = WriterSchemas.header(topic.schema());
  }

  /** The topic these records belong to. */
  public Topic topic() {
    return topic;
  }

  /**
   * The records of a value: one as a rule; several, split by layers under the same key, if one
   * would exceed {@link Topic#MAX_VALUE_BYTES}. What cannot be split is written whole, however
   * large.
   *
   * @throws IllegalArgumentException if a field that the topic requires is null
   */
  public List<Encoded> encode(T value) {
    List<Encoded> whole = List.of(encodeOne(value));
    long size = whole.get(0).value().length;
    int layers = mapping.layers(value);
    if (size <= Topic.MAX_VALUE_BYTES || layers <= 1) {
      return whole;
    }
    // Layers differ in size, and what is repeated in each part counts too: try, then cut finer.
    int parts = (int) Math.min(layers, size / Topic.MAX_VALUE_BYTES + 1);
    while (true) {
      List<Encoded> records = new ArrayList<>(parts);
      boolean fit = true;
      for (T part : mapping.split(value, parts)) {
        Encoded record = encodeOne(part);
        records.add(record);
        fit &= record.value().length <= Topic.MAX_VALUE_BYTES;
      }
      if (fit || parts == layers) {
        return records;
      }
      parts = (int) Math.min(layers, parts + parts / 4L + 1);
    }
  }

  /**
   * The whole value of all its parts: what {@link #encode} split. Of steps only: parts of a
   * manifest are checked as they are joined, by {@link io.gradflow.core.shard.ManifestJoiner}, and
   * parts of a shard are merged like any other contribution.
   *
   * @param parts all parts of one value, in the order of their index
   */
  public T join(List<T> parts) {
    return parts.size() == 1 ? parts.get(0) : mapping.join(parts);
  }

  /** A reader of this topic's records, for one thread. */
  public Decoder<T> decoder(WriterSchemas writers) {
    return new Decoder<>(topic, topic.rowType(), mapping::fromRow, writers);
  }

  private Encoded encodeOne(T value) {
    ByteWriter out = new ByteWriter();
    out.writeRaw(header);
    topic.rowType().write(out, mapping.toRow(value, topic.rowType()));
    return new Encoded(mapping.key(value).getBytes(StandardCharsets.UTF_8), out.toByteArray());
  }
}
