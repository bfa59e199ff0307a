package io.gradflow.core;

/**
 * Where a machine keeps one value of its state. What was changed must be set again.
 *
 * @param <V> the value's type
 */
public interface Cell<V> {
  /** The value, or null if there is none. */
  V get();

  /** Sets the value; null clears the cell. */
  void set(V value);
}
