package io.gradflow.core;

/**
 * Where a machine keeps the entries of its state. What was changed must be put again: an entry that
 * was read may be a copy.
 *
 * @param <K> a value with equality
 * @param <V> never null inside the store
 */
public interface Store<K, V> {
  /** The entry, or null if there is none. */
  V get(K key);

  /** Sets the entry. */
  void put(K key, V value);

  /** Forgets the entry, if there is one. */
  void remove(K key);

  /** The keys present, in no particular order; the store must not change while they are read. */
  Iterable<K> keys();
}
