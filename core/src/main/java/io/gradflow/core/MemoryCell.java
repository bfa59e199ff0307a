package io.gradflow.core;

/**
 * A {@link Cell} in memory, for simulations and replays. It keeps the reference it is given.
 *
 * @param <V> the value's type
 */
public final class MemoryCell<V> implements Cell<V> {
  private V value;

  @Override
  public V get() {
    return value;
  }

  @Override
  public void set(V newValue) {
    value = newValue;
  }
}
