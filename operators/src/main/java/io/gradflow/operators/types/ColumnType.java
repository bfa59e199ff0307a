package io.gradflow.operators.types;

import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;

/**
 * Type information of a column: an array of numbers, serialized by {@link ColumnSerializer}.
 *
 * @param <T> {@code float[], double[], long[]} or {@code int[]}
 */
public final class ColumnType<T> extends TypeInformation<T> {
  private static final ColumnType<float[]> FLOATS =
      new ColumnType<>(float[].class, ColumnSerializer.Floats.INSTANCE);
  private static final ColumnType<double[]> DOUBLES =
      new ColumnType<>(double[].class, ColumnSerializer.Doubles.INSTANCE);
  private static final ColumnType<long[]> LONGS =
      new ColumnType<>(long[].class, ColumnSerializer.Longs.INSTANCE);
  private static final ColumnType<int[]> INTS =
      new ColumnType<>(int[].class, ColumnSerializer.Ints.INSTANCE);

  private final Class<T> array;
  private final ColumnSerializer<T> serializer;

  private ColumnType(Class<T> array, ColumnSerializer<T> serializer) {
    this.array = array;
    this.serializer = serializer;
  }

  /** The type of an array class, null if it is no column. */
  static TypeInformation<?> forArray(Class<?> array) {
    for (ColumnType<?> type : new ColumnType<?>[] {FLOATS, DOUBLES, LONGS, INTS}) {
      if (type.array == array) {
        return type;
      }
    }
    return null;
  }

  @Override
  public TypeSerializer<T> createSerializer(SerializerConfig config) {
    return serializer;
  }

  @Override
  public Class<T> getTypeClass() {
    return array;
  }

  @Override
  public boolean isBasicType() {
    return false;
  }

  @Override
  public boolean isTupleType() {
    return false;
  }

  @Override
  public int getArity() {
    return 1;
  }

  @Override
  public int getTotalFields() {
    return 1;
  }

  @Override
  public boolean isKeyType() {
    return false;
  }

  @Override
  public boolean canEqual(Object other) {
    return other instanceof ColumnType;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ColumnType<?> column && column.array == array;
  }

  @Override
  public int hashCode() {
    return array.hashCode();
  }

  @Override
  public String toString() {
    return "Column<" + array.getComponentType() + ">";
  }
}
