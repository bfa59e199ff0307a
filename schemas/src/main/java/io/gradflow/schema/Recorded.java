package io.gradflow.schema;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A record of one of gradflow's topics, kept outside Kafka: as it was, and where and when.
 *
 * @param timestamp of the record, ms since the epoch: when it was written, or when the broker took
 *     it, as its topic has it
 * @param run that the value speaks of
 * @param key null if there was none
 * @param value never null: deletions are not kept
 */
public record Recorded(
    Topic topic, int partition, long offset, long timestamp, String run, byte[] key, byte[] value) {

  /**
   * The same record as one of another run: key and value name that one, everything else stays byte
   * for byte.
   *
   * @throws IllegalArgumentException if the value is not of the framing that gradflow writes
   */
  public Recorded as(String otherRun) {
    if (!WriterSchemas.isSingleObject(value)) {
      throw new IllegalArgumentException(
          "%s-%d@%d of run %s cannot be renamed: expected Avro after C3 01 and a fingerprint, got another framing; replay it without another name"
              .formatted(topic.topicName(), partition, offset, run));
    }
    // Every schema that is recorded begins with the run; a test sees to that.
    ByteReader in = new ByteReader(value, WriterSchemas.SINGLE_OBJECT_HEADER);
    in.skipBytes();
    ByteWriter out = new ByteWriter();
    out.writeRaw(Arrays.copyOf(value, WriterSchemas.SINGLE_OBJECT_HEADER));
    out.writeString(otherRun);
    out.writeRaw(Arrays.copyOfRange(value, value.length - in.remaining(), value.length));
    return new Recorded(
        topic, partition, offset, timestamp, otherRun, renamedKey(otherRun), out.toByteArray());
  }

  /** The key's first component is the run; what follows the first bar stays. */
  private byte[] renamedKey(String otherRun) {
    if (key == null) {
      return null;
    }
    int bar = 0;
    while (bar < key.length && key[bar] != '|') {
      bar++;
    }
    ByteWriter out = new ByteWriter();
    out.writeRaw(Topic.key(otherRun).getBytes(StandardCharsets.UTF_8));
    out.writeRaw(Arrays.copyOfRange(key, bar, key.length));
    return out.toByteArray();
  }
}
