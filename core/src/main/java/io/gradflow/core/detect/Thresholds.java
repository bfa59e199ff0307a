package io.gradflow.core.detect;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeSet;

/** How the settings of a detector, a record of numbers, are checked and changed by name. */
final class Thresholds {
  private Thresholds() {}

  /**
   * Checks that a setting lies in its range.
   *
   * @throws IllegalArgumentException otherwise, with the range
   */
  static void require(FindingKind kind, String name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      throw new IllegalArgumentException(
          "%s: expected %s between %s and %s, got %s".formatted(kind, name, low, high, value));
    }
  }

  /**
   * The same settings with those named changed.
   *
   * @throws IllegalArgumentException if a name is unknown or a value impossible
   */
  static <T extends Record> T change(FindingKind kind, T settings, Map<String, Double> changes) {
    RecordComponent[] components = settings.getClass().getRecordComponents();
    var names = new TreeSet<String>();
    var values = new Object[components.length];
    for (int i = 0; i < components.length; i++) {
      String name = components[i].getName();
      names.add(name);
      Double change = changes.get(name);
      values[i] =
          change == null ? read(components[i], settings) : converted(kind, components[i], change);
    }
    for (String name : changes.keySet()) {
      if (!names.contains(name)) {
        throw new IllegalArgumentException(
            "%s: expected a threshold of %s, got \"%s\"".formatted(kind, names, name));
      }
    }
    return construct(settings, components, values);
  }

  private static Object converted(FindingKind kind, RecordComponent component, double value) {
    if (component.getType() == double.class) {
      return value;
    }
    if (value != Math.rint(value) || Math.abs(value) > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "%s: expected a whole number for %s, got %s".formatted(kind, component.getName(), value));
    }
    return (int) value;
  }

  private static Object read(RecordComponent component, Record settings) {
    try {
      return component.getAccessor().invoke(settings);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(component + " cannot be read", e);
    }
  }

  @SuppressWarnings("unchecked")
  private static <T extends Record> T construct(
      T settings, RecordComponent[] components, Object[] values) {
    Class<?>[] types =
        Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
    try {
      Constructor<?> canonical = settings.getClass().getDeclaredConstructor(types);
      return (T) canonical.newInstance(values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof IllegalArgumentException refusal) {
        throw refusal;
      }
      throw new IllegalStateException(settings.getClass() + " cannot be constructed", e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(settings.getClass() + " cannot be constructed", e);
    }
  }
}
