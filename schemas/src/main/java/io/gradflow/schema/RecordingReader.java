package io.gradflow.schema;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;

/**
 * Reads a recording, record by record, in the order in which it was written. Holds one block of it
 * in memory.
 *
 * <p>The file may be anything: no length in it is believed before the bytes are there, and a file
 * that ends early, which Avro's own reader takes for the end, is an error. Errors are {@link
 * IOException}s whose message says what was expected, what came, and what to do.
 */
public final class RecordingReader implements Closeable {
  private static final byte[] MAGIC = {'O', 'b', 'j', 1};
  private static final int SYNC_BYTES = 16;
  private static final int MAX_BLOCK_BYTES = 64 << 20;
  private static final int MAX_HEADER_BYTES = 4 << 20;

  private final DataInputStream in;
  private final byte[] sync;
  private final boolean deflated;
  private final List<Schema> branches;
  private final Map<Integer, RowReader> rows = new HashMap<>();
  private ByteReader block;
  private byte[] blockBytes;
  private long left;
  private long records;

  /**
   * Reads the file's header.
   *
   * @param source closed with this reader
   * @throws IOException if it is no recording
   */
  public RecordingReader(InputStream source) throws IOException {
    in = new DataInputStream(new BufferedInputStream(source, 1 << 16));
    byte[] magic = in.readNBytes(MAGIC.length);
    if (!Arrays.equals(magic, MAGIC)) {
      throw new IOException(
          "expected an Avro container file written by gradflow record, got a file that does not begin with Obj and 01");
    }
    try {
      Map<String, byte[]> header = header();
      sync = exactly(SYNC_BYTES);
      String codec =
          text(header.getOrDefault("avro.codec", "null".getBytes(StandardCharsets.UTF_8)));
      if (!codec.equals("deflate") && !codec.equals("null")) {
        throw new IOException(
            "expected blocks compressed with deflate or not at all, got codec %s; recode the file"
                .formatted(Excerpt.of(codec)));
      }
      deflated = codec.equals("deflate");
      Schema schema =
          new Schema.Parser().parse(text(header.getOrDefault("avro.schema", new byte[0])));
      branches = RecordingFormat.branches(schema);
      if (branches == null) {
        throw new IOException(
            "expected an Avro container file written by gradflow record, got one of %s"
                .formatted(Excerpt.of(schema.getFullName())));
      }
      for (int i = 0; i < branches.size(); i++) {
        Topic topic = topic(branches.get(i));
        if (topic != null) {
          rows.put(i, new RowReader(branches.get(i), topic.rowType()));
        }
      }
    } catch (EOFException e) {
      throw truncated(e);
    } catch (AvroRuntimeException | Malformed | StackOverflowError e) {
      throw new IOException(
          "the file's header is damaged: expected the schema of a recording, got what cannot be read; copy or record it again",
          e);
    }
  }

  /** Finds the schemas that the values of this file were written with. */
  public WriterSchemas writers() {
    return WriterSchemas.known(
        branches.stream().filter(schema -> schema.getType() == Schema.Type.RECORD).toList());
  }

  /**
   * The next record.
   *
   * @return null at the end
   * @throws IOException if the file is damaged or ends early
   */
  public Recorded next() throws IOException {
    try {
      while (left == 0) {
        if (block != null && block.remaining() > 0) {
          throw corrupt(block.remaining() + " bytes after a block's last record");
        }
        if (!nextBlock()) {
          return null;
        }
      }
      left--;
      Recorded record = record();
      records++;
      return record;
    } catch (EOFException e) {
      throw truncated(e);
    } catch (Malformed | DataFormatException e) {
      throw corrupt(e.getMessage());
    }
  }

  private Recorded record() throws IOException {
    String name = block.readString();
    Topic topic = Topic.named(name);
    if (topic == null || !RecordingFormat.TOPICS.contains(topic)) {
      throw corrupt("a record of topic " + Excerpt.of(name));
    }
    int partition = block.readInt();
    long offset = block.readLong();
    long timestamp = block.readLong();
    String run = block.readString();
    byte[] key = block.readLong() == 0 ? null : block.readBytes();
    return new Recorded(topic, partition, offset, timestamp, run, key, value(block.readInt()));
  }

  private byte[] value(int branch) throws IOException {
    if (branch < 0 || branch >= branches.size()) {
      throw corrupt("union branch " + branch);
    }
    Schema schema = branches.get(branch);
    if (schema.getType() == Schema.Type.BYTES) {
      return block.readBytes();
    }
    RowReader row = rows.get(branch);
    if (row == null) {
      throw corrupt("a value of " + Excerpt.of(schema.getFullName()));
    }
    int from = blockBytes.length - block.remaining();
    row.read(block);
    ByteWriter value = new ByteWriter();
    value.writeRaw(WriterSchemas.header(schema));
    value.writeRaw(Arrays.copyOfRange(blockBytes, from, blockBytes.length - block.remaining()));
    return value.toByteArray();
  }

  private boolean nextBlock() throws IOException, DataFormatException {
    in.mark(1);
    if (in.read() < 0) {
      return false;
    }
    in.reset();
    long count = readLong();
    long size = readLong();
    if (count < 0 || size < 0 || size > MAX_BLOCK_BYTES) {
      throw corrupt("a block of %d records in %d bytes".formatted(count, size));
    }
    byte[] bytes = exactly((int) size);
    if (!Arrays.equals(exactly(SYNC_BYTES), sync)) {
      throw corrupt("another mark than the file's after a block");
    }
    blockBytes = deflated ? inflated(bytes) : bytes;
    block = new ByteReader(blockBytes, 0);
    left = count;
    return true;
  }

  private byte[] inflated(byte[] bytes) throws IOException, DataFormatException {
    Inflater inflater = new Inflater(true);
    try {
      inflater.setInput(bytes);
      byte[] out = new byte[Math.max(1 << 10, 3 * bytes.length)];
      int size = 0;
      while (!inflater.finished()) {
        if (size == out.length) {
          if (size > MAX_BLOCK_BYTES) {
            throw corrupt("a block of more than %d bytes".formatted(MAX_BLOCK_BYTES));
          }
          out = Arrays.copyOf(out, 2 * size);
        }
        int read = inflater.inflate(out, size, out.length - size);
        if (read == 0 && (inflater.needsInput() || inflater.needsDictionary())) {
          throw corrupt("a compressed block that ends early");
        }
        size += read;
      }
      return Arrays.copyOf(out, size);
    } finally {
      inflater.end();
    }
  }

  private Map<String, byte[]> header() throws IOException {
    Map<String, byte[]> header = new HashMap<>();
    long room = MAX_HEADER_BYTES;
    for (long count = readLong(); count != 0; count = readLong()) {
      if (count < 0) {
        readLong(); // The size in bytes, which only skipping needs.
      }
      for (long i = Math.abs(count); i > 0; i--) {
        byte[] name = bytes(room);
        byte[] value = bytes(room - name.length);
        room -= name.length + value.length + 2L;
        header.put(text(name), value);
      }
    }
    return header;
  }

  private byte[] bytes(long atMost) throws IOException {
    long length = readLong();
    if (length < 0 || length > atMost) {
      throw corrupt("%d bytes in the header".formatted(length));
    }
    return exactly((int) length);
  }

  private byte[] exactly(int count) throws IOException {
    byte[] bytes = in.readNBytes(count);
    if (bytes.length < count) {
      throw new EOFException("%d bytes of %d".formatted(bytes.length, count));
    }
    return bytes;
  }

  private long readLong() throws IOException {
    long zigzag = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      int b = in.readUnsignedByte();
      zigzag |= (b & 0x7FL) << shift;
      if (b < 0x80) {
        return (zigzag >>> 1) ^ -(zigzag & 1);
      }
    }
    throw corrupt("a number of more than 10 bytes");
  }

  private static Topic topic(Schema branch) {
    return RecordingFormat.TOPICS.stream()
        .filter(topic -> topic.schema().getFullName().equals(branch.getFullName()))
        .findFirst()
        .orElse(null);
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private IOException truncated(EOFException cause) {
    return new IOException(
        "the file ends early: expected a whole block after %d records, got its beginning; copy or record it again"
            .formatted(records),
        cause);
  }

  private IOException corrupt(String got) {
    return new IOException(
        "the file is damaged after %d records: got %s; copy or record it again"
            .formatted(records, got));
  }

  @Override
  public void close() throws IOException {
    in.close();
  }
}
