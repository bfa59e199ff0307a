package io.gradflow.operators.types;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * Serializes a column as its length and its values, big-endian, copied in blocks: Flink's own array
 * serializers go element by element.
 *
 * <p>Copies are deep, because state on the heap is mutated in place while a snapshot of it is being
 * written.
 *
 * @param <T> the array type
 */
abstract class ColumnSerializer<T> extends TypeSerializerSingleton<T> {
  private static final int BLOCK_BYTES = 8 * 1024;

  private final int elementBytes;

  ColumnSerializer(int elementBytes) {
    this.elementBytes = elementBytes;
  }

  abstract int length(T column);

  abstract T create(int length);

  /** Puts {@code count} values from {@code from} on into the block's start. */
  abstract void pack(T column, int from, int count, ByteBuffer block);

  /** Takes {@code count} values from the block's start into the column from {@code from} on. */
  abstract void unpack(ByteBuffer block, T column, int from, int count);

  @Override
  public void serialize(T column, DataOutputView target) throws IOException {
    int length = length(column);
    target.writeInt(length);
    byte[] bytes = new byte[Math.min(BLOCK_BYTES, length * elementBytes)];
    ByteBuffer block = ByteBuffer.wrap(bytes);
    int perBlock = BLOCK_BYTES / elementBytes;
    for (int from = 0; from < length; from += perBlock) {
      int count = Math.min(perBlock, length - from);
      pack(column, from, count, block);
      target.write(bytes, 0, count * elementBytes);
    }
  }

  @Override
  public T deserialize(DataInputView source) throws IOException {
    int length = source.readInt();
    T column = create(length);
    byte[] bytes = new byte[Math.min(BLOCK_BYTES, length * elementBytes)];
    ByteBuffer block = ByteBuffer.wrap(bytes);
    int perBlock = BLOCK_BYTES / elementBytes;
    for (int from = 0; from < length; from += perBlock) {
      int count = Math.min(perBlock, length - from);
      source.readFully(bytes, 0, count * elementBytes);
      unpack(block, column, from, count);
    }
    return column;
  }

  @Override
  public void copy(DataInputView source, DataOutputView target) throws IOException {
    int length = source.readInt();
    target.writeInt(length);
    target.write(source, length * elementBytes);
  }

  @Override
  @SuppressWarnings(
      "SuspiciousSystemArraycopy") // T is an array; there is no type for "array of primitives"
  public T copy(T from) {
    int length = length(from);
    T copy = create(length);
    System.arraycopy(from, 0, copy, 0, length);
    return copy;
  }

  @Override
  public T copy(T from, T reuse) {
    return copy(from);
  }

  @Override
  public T deserialize(T reuse, DataInputView source) throws IOException {
    return deserialize(source);
  }

  @Override
  public T createInstance() {
    return create(0);
  }

  @Override
  public boolean isImmutableType() {
    return false;
  }

  @Override
  public int getLength() {
    return -1;
  }

  static final class Floats extends ColumnSerializer<float[]> {
    static final Floats INSTANCE = new Floats();

    Floats() {
      super(Float.BYTES);
    }

    @Override
    int length(float[] column) {
      return column.length;
    }

    @Override
    float[] create(int length) {
      return new float[length];
    }

    @Override
    void pack(float[] column, int from, int count, ByteBuffer block) {
      block.asFloatBuffer().put(column, from, count);
    }

    @Override
    void unpack(ByteBuffer block, float[] column, int from, int count) {
      block.asFloatBuffer().get(column, from, count);
    }

    @Override
    public TypeSerializerSnapshot<float[]> snapshotConfiguration() {
      return new FloatsSnapshot();
    }

    /** Names the serializer in a savepoint. */
    public static final class FloatsSnapshot extends SimpleTypeSerializerSnapshot<float[]> {
      /** For Flink. */
      public FloatsSnapshot() {
        super(() -> INSTANCE);
      }
    }
  }

  static final class Doubles extends ColumnSerializer<double[]> {
    static final Doubles INSTANCE = new Doubles();

    Doubles() {
      super(Double.BYTES);
    }

    @Override
    int length(double[] column) {
      return column.length;
    }

    @Override
    double[] create(int length) {
      return new double[length];
    }

    @Override
    void pack(double[] column, int from, int count, ByteBuffer block) {
      block.asDoubleBuffer().put(column, from, count);
    }

    @Override
    void unpack(ByteBuffer block, double[] column, int from, int count) {
      block.asDoubleBuffer().get(column, from, count);
    }

    @Override
    public TypeSerializerSnapshot<double[]> snapshotConfiguration() {
      return new DoublesSnapshot();
    }

    /** Names the serializer in a savepoint. */
    public static final class DoublesSnapshot extends SimpleTypeSerializerSnapshot<double[]> {
      /** For Flink. */
      public DoublesSnapshot() {
        super(() -> INSTANCE);
      }
    }
  }

  static final class Longs extends ColumnSerializer<long[]> {
    static final Longs INSTANCE = new Longs();

    Longs() {
      super(Long.BYTES);
    }

    @Override
    int length(long[] column) {
      return column.length;
    }

    @Override
    long[] create(int length) {
      return new long[length];
    }

    @Override
    void pack(long[] column, int from, int count, ByteBuffer block) {
      block.asLongBuffer().put(column, from, count);
    }

    @Override
    void unpack(ByteBuffer block, long[] column, int from, int count) {
      block.asLongBuffer().get(column, from, count);
    }

    @Override
    public TypeSerializerSnapshot<long[]> snapshotConfiguration() {
      return new LongsSnapshot();
    }

    /** Names the serializer in a savepoint. */
    public static final class LongsSnapshot extends SimpleTypeSerializerSnapshot<long[]> {
      /** For Flink. */
      public LongsSnapshot() {
        super(() -> INSTANCE);
      }
    }
  }

  static final class Ints extends ColumnSerializer<int[]> {
    static final Ints INSTANCE = new Ints();

    Ints() {
      super(Integer.BYTES);
    }

    @Override
    int length(int[] column) {
      return column.length;
    }

    @Override
    int[] create(int length) {
      return new int[length];
    }

    @Override
    void pack(int[] column, int from, int count, ByteBuffer block) {
      block.asIntBuffer().put(column, from, count);
    }

    @Override
    void unpack(ByteBuffer block, int[] column, int from, int count) {
      block.asIntBuffer().get(column, from, count);
    }

    @Override
    public TypeSerializerSnapshot<int[]> snapshotConfiguration() {
      return new IntsSnapshot();
    }

    /** Names the serializer in a savepoint. */
    public static final class IntsSnapshot extends SimpleTypeSerializerSnapshot<int[]> {
      /** For Flink. */
      public IntsSnapshot() {
        super(() -> INSTANCE);
      }
    }
  }
}
