package io.gradflow.schema;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericDatumWriter;

/**
 * Writes a recording: an Avro container file that {@link RecordingReader} turns into the same
 * records again, byte for byte, and that any Avro tool can read. Holds one block of it in memory.
 */
public final class RecordingWriter implements Closeable {
  private static final int FASTEST = 1;

  private final DataFileWriter<Object> file;
  private final Map<Topic, byte[]> headers = new EnumMap<>(Topic.class);
  private final Map<Topic, RowReader> rows = new EnumMap<>(Topic.class);

  /**
   * Starts a recording.
   *
   * @param out closed with this writer
   */
  public RecordingWriter(OutputStream out) throws IOException {
    for (Topic topic : RecordingFormat.TOPICS) {
      headers.put(topic, WriterSchemas.header(topic.schema()));
      rows.put(topic, new RowReader(topic.schema(), topic.rowType()));
    }
    file =
        new DataFileWriter<>(new GenericDatumWriter<>())
            .setCodec(CodecFactory.deflateCodec(FASTEST))
            .create(RecordingFormat.SCHEMA, out);
  }

  /**
   * Adds a record.
   *
   * @throws IllegalArgumentException if its topic is none that is recorded
   */
  public void append(Recorded record) throws IOException {
    int branch = RecordingFormat.TOPICS.indexOf(record.topic());
    if (branch < 0) {
      throw new IllegalArgumentException(
          "expected a record of one of %s, got one of %s"
              .formatted(RecordingFormat.TOPICS, record.topic()));
    }
    ByteWriter out = new ByteWriter();
    out.writeString(record.topic().topicName());
    out.writeLong(record.partition());
    out.writeLong(record.offset());
    out.writeLong(record.timestamp());
    out.writeString(record.run());
    if (record.key() == null) {
      out.writeLong(0);
    } else {
      out.writeLong(1);
      out.writeBytes(record.key());
    }
    if (isOwn(record)) {
      out.writeLong(branch);
      out.writeRaw(
          Arrays.copyOfRange(
              record.value(), WriterSchemas.SINGLE_OBJECT_HEADER, record.value().length));
    } else {
      out.writeLong(RecordingFormat.TOPICS.size());
      out.writeBytes(record.value());
    }
    file.appendEncoded(ByteBuffer.wrap(out.toByteArray()));
  }

  /** Whether the value is a whole record of its topic's schema in this build, and nothing more. */
  private boolean isOwn(Recorded record) {
    byte[] header = headers.get(record.topic());
    byte[] value = record.value();
    if (!Arrays.equals(header, Arrays.copyOf(value, header.length))) {
      return false;
    }
    ByteReader in = new ByteReader(value, header.length);
    try {
      rows.get(record.topic()).read(in);
      return in.remaining() == 0;
    } catch (Malformed e) {
      return false; // Kept all the same, as bytes.
    }
  }

  /** Writes what is left, and closes the stream. */
  @Override
  public void close() throws IOException {
    file.close();
  }
}
