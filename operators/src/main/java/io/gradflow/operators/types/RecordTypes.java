package io.gradflow.operators.types;

import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.api.common.typeinfo.BasicArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.BasicTypeInfo;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.typeutils.EnumTypeInfo;
import org.apache.flink.api.java.typeutils.ObjectArrayTypeInfo;

/**
 * Flink's type information for core's records, derived from their components.
 *
 * <p>Records, nested at will, become Flink POJOs; any of their reference components may be null.
 * Components may be primitives and their boxes, strings, enums, records, lists, maps, and arrays;
 * arrays of numbers are copied in bulk ({@link ColumnType}). Anything else is refused here, when
 * the job is built, rather than handed to Kryo while it runs.
 */
public final class RecordTypes {
  private static final Map<Class<?>, TypeInformation<?>> KNOWN = new ConcurrentHashMap<>();

  private RecordTypes() {}

  /**
   * The type information of a record.
   *
   * @throws IllegalArgumentException if the record or one of its components, at any depth, has no
   *     serializer of its own
   */
  @SuppressWarnings("unchecked")
  public static <T> TypeInformation<T> of(Class<T> type) {
    TypeInformation<?> known = KNOWN.get(type);
    if (known == null) {
      // Not computeIfAbsent: nested records enter the same map.
      known = describe(type, type.getSimpleName(), new ArrayList<>());
      KNOWN.put(type, known);
    }
    return (TypeInformation<T>) known;
  }

  private static TypeInformation<?> describe(Type type, String path, List<Class<?>> enclosing) {
    if (type instanceof ParameterizedType generic) {
      Type[] arguments = generic.getActualTypeArguments();
      if (generic.getRawType() == List.class) {
        return Types.LIST(describe(arguments[0], path + "[]", enclosing));
      }
      if (generic.getRawType() == Map.class) {
        return Types.MAP(
            describe(arguments[0], path + ".key", enclosing),
            describe(arguments[1], path + ".value", enclosing));
      }
    }
    if (type instanceof Class<?> plain) {
      TypeInformation<?> basic = BasicTypeInfo.getInfoFor(plain);
      if (basic != null) {
        return basic;
      }
      if (plain.isArray()) {
        return describeArray(plain, path, enclosing);
      }
      if (plain.isEnum()) {
        return describeEnum(plain);
      }
      if (plain.isRecord()) {
        return describeRecord(plain, path, enclosing);
      }
    }
    throw new IllegalArgumentException(
        path
            + " is a "
            + type.getTypeName()
            + ": expected a primitive, string, enum, record, list, map or array of these;"
            + " anything else would fall to Kryo");
  }

  private static TypeInformation<?> describeArray(
      Class<?> array, String path, List<Class<?>> enclosing) {
    TypeInformation<?> column = ColumnType.forArray(array);
    if (column != null) {
      return column;
    }
    if (array == byte[].class) {
      return PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
    }
    if (array == String[].class) {
      return BasicArrayTypeInfo.STRING_ARRAY_TYPE_INFO;
    }
    return ObjectArrayTypeInfo.getInfoFor(
        describe(array.getComponentType(), path + "[]", enclosing));
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static TypeInformation<?> describeEnum(Class<?> plain) {
    return new EnumTypeInfo(plain);
  }

  private static TypeInformation<?> describeRecord(
      Class<?> type, String path, List<Class<?>> enclosing) {
    if (!Modifier.isPublic(type.getModifiers())) {
      throw new IllegalArgumentException(
          path + " is of " + type.getName() + ", which must be public");
    }
    if (enclosing.contains(type)) {
      throw new IllegalArgumentException(
          path + " contains itself: recursive records cannot be columns");
    }
    List<Class<?>> inner = new ArrayList<>(enclosing);
    inner.add(type);
    Map<String, TypeInformation<?>> fields = new LinkedHashMap<>();
    for (var component : type.getRecordComponents()) {
      String name = path + "." + component.getName();
      fields.put(component.getName(), describe(component.getGenericType(), name, inner));
    }
    return Types.POJO(type, fields);
  }
}
