package io.gradflow.core;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A {@link Store} in memory, for simulations and replays. It keeps the references it is given.
 *
 * @param <K> a value with equality
 * @param <V> never null
 */
public final class MemoryStore<K, V> implements Store<K, V> {
  private final Map<K, V> entries = new LinkedHashMap<>();

  @Override
  public V get(K key) {
    return entries.get(key);
  }

  @Override
  public void put(K key, V value) {
    entries.put(key, value);
  }

  @Override
  public void remove(K key) {
    entries.remove(key);
  }

  @Override
  public Iterable<K> keys() {
    return entries.keySet();
  }

  /** Number of entries. */
  public int size() {
    return entries.size();
  }
}
