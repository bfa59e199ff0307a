package io.gradflow.core.simulation;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Deep copies of what is remembered: a snapshot must not change when its original does. Records,
 * arrays, collections and {@link Remembered} objects are copied; what nobody ever changes is not.
 */
final class Copies {
  /** Inputs and outputs: values that every machine only reads. */
  private static final Set<Class<?>> VALUES =
      Set.of(
          Shard.class,
          Layout.class,
          Manifest.class,
          RunEvent.class,
          Step.class,
          Sent.class,
          Parcel.class);

  /** An object whose fields are what it remembers; it has a constructor without arguments. */
  interface Remembered {}

  private interface Copier {
    Object copy(Object value) throws ReflectiveOperationException;
  }

  private static final ClassValue<Copier> COPIERS =
      new ClassValue<>() {
        @Override
        protected Copier computeValue(Class<?> type) {
          return copier(type);
        }
      };

  private Copies() {}

  /** A copy that shares nothing that can change. */
  @SuppressWarnings("unchecked")
  static <T> T of(T value) {
    if (value == null) {
      return null;
    }
    try {
      return (T) COPIERS.get(value.getClass()).copy(value);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("cannot copy a " + value.getClass(), e);
    }
  }

  private static Copier copier(Class<?> type) {
    if (isValue(type)) {
      return value -> value;
    }
    if (type.isArray()) {
      return arrayCopier(type);
    }
    if (List.class.isAssignableFrom(type)) {
      return value -> all((List<?>) value, new ArrayList<>());
    }
    if (Set.class.isAssignableFrom(type)) {
      return value ->
          all((Set<?>) value, value instanceof TreeSet ? new TreeSet<>() : new LinkedHashSet<>());
    }
    if (Map.class.isAssignableFrom(type)) {
      return value -> {
        Map<?, ?> from = (Map<?, ?>) value;
        Map<Object, Object> to =
            from instanceof TreeMap
                ? new TreeMap<>()
                : from instanceof LinkedHashMap ? new LinkedHashMap<>() : new HashMap<>();
        from.forEach((key, entry) -> to.put(of(key), of(entry)));
        return to;
      };
    }
    if (type.isRecord()) {
      return recordCopier(type);
    }
    if (Remembered.class.isAssignableFrom(type)) {
      return objectCopier(type);
    }
    throw new IllegalStateException("expected a record, collection or array to copy, got " + type);
  }

  private static <C extends java.util.Collection<Object>> C all(Iterable<?> from, C to) {
    from.forEach(element -> to.add(of(element)));
    return to;
  }

  private static boolean isValue(Class<?> type) {
    if (type.isPrimitive()
        || type == String.class
        || Number.class.isAssignableFrom(type)
        || type == Boolean.class
        || Enum.class.isAssignableFrom(type)
        || VALUES.contains(type)) {
      return true;
    }
    return type.isRecord()
        && Arrays.stream(type.getRecordComponents()).allMatch(c -> isValue(c.getType()));
  }

  private static Copier arrayCopier(Class<?> type) {
    if (type == long[].class) {
      return value -> ((long[]) value).clone();
    }
    if (type == int[].class) {
      return value -> ((int[]) value).clone();
    }
    if (type == double[].class) {
      return value -> ((double[]) value).clone();
    }
    if (type == float[].class) {
      return value -> ((float[]) value).clone();
    }
    if (type == boolean[].class) {
      return value -> ((boolean[]) value).clone();
    }
    if (type == byte[].class) {
      return value -> ((byte[]) value).clone();
    }
    return value -> {
      Object[] copy = ((Object[]) value).clone();
      for (int i = 0; i < copy.length; i++) {
        copy[i] = of(copy[i]);
      }
      return copy;
    };
  }

  private static Copier recordCopier(Class<?> type) {
    RecordComponent[] components = type.getRecordComponents();
    Class<?>[] types =
        Arrays.stream(components).map(RecordComponent::getType).toArray(Class[]::new);
    Constructor<?> constructor;
    try {
      constructor = type.getDeclaredConstructor(types);
    } catch (NoSuchMethodException e) {
      throw new IllegalStateException(e);
    }
    constructor.setAccessible(true);
    Arrays.stream(components).forEach(c -> c.getAccessor().setAccessible(true));
    return value -> {
      Object[] parts = new Object[components.length];
      for (int i = 0; i < parts.length; i++) {
        parts[i] = of(components[i].getAccessor().invoke(value));
      }
      return constructor.newInstance(parts);
    };
  }

  private static Copier objectCopier(Class<?> type) {
    List<Field> fields = new ArrayList<>();
    for (Field field : type.getDeclaredFields()) {
      if (!Modifier.isStatic(field.getModifiers())) {
        field.setAccessible(true);
        fields.add(field);
      }
    }
    Constructor<?> constructor;
    try {
      constructor = type.getDeclaredConstructor();
    } catch (NoSuchMethodException e) {
      throw new IllegalStateException(e);
    }
    constructor.setAccessible(true);
    return value -> {
      Object copy = constructor.newInstance();
      for (Field field : fields) {
        field.set(copy, of(field.get(value)));
      }
      return copy;
    };
  }
}
