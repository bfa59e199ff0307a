package io.gradflow.core.simulation;

import io.gradflow.core.Cell;
import io.gradflow.core.Store;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The state of all machines, in tables. A strict one gives and takes copies, as a backend that
 * serialises does: what was changed and not put again is lost.
 */
final class Backend {
  /** Which table: of a machine, for one of its keys, under the name of the store. */
  record Table(String machine, Object key, String name) {}

  private final boolean strict;
  private final Chance chance;
  private final Break broken;
  private Map<Table, Map<Object, Object>> tables = new LinkedHashMap<>();

  Backend(boolean strict, Chance chance, Break broken) {
    this.strict = strict;
    this.chance = chance;
    this.broken = broken;
  }

  <K, V> Store<K, V> store(Table table) {
    return broken.store(table.name(), new TableStore<>(table));
  }

  <V> Cell<V> cell(Table table) {
    TableStore<Integer, V> store = new TableStore<>(table);
    return new Cell<>() {
      @Override
      public V get() {
        return store.get(0);
      }

      @Override
      public void set(V value) {
        if (value == null) {
          store.remove(0);
        } else {
          store.put(0, value);
        }
      }
    };
  }

  /** A copy of everything, for {@link #restore}. */
  Map<Table, Map<Object, Object>> snapshot() {
    return broken == Break.SHALLOW_SNAPSHOT ? shallow(tables) : Copies.of(tables);
  }

  /** Everything as it was; the snapshot can be restored again. */
  void restore(Map<Table, Map<Object, Object>> snapshot) {
    tables = broken == Break.SHALLOW_SNAPSHOT ? shallow(snapshot) : Copies.of(snapshot);
  }

  private static Map<Table, Map<Object, Object>> shallow(Map<Table, Map<Object, Object>> of) {
    Map<Table, Map<Object, Object>> copy = new LinkedHashMap<>();
    of.forEach((table, entries) -> copy.put(table, new LinkedHashMap<>(entries)));
    return copy;
  }

  /** Entries of the tables of that name of a machine. */
  int entries(String machine, String name) {
    int entries = 0;
    for (var table : tables.entrySet()) {
      if (table.getKey().machine().equals(machine) && table.getKey().name().equals(name)) {
        entries += table.getValue().size();
      }
    }
    return entries;
  }

  /** Tables that are not empty. */
  List<Table> retained() {
    return tables.entrySet().stream()
        .filter(table -> !table.getValue().isEmpty())
        .map(Map.Entry::getKey)
        .toList();
  }

  private final class TableStore<K, V> implements Store<K, V> {
    private final Table table;
    private Map<Table, Map<Object, Object>> of;
    private Map<Object, Object> entries;

    TableStore(Table table) {
      this.table = table;
    }

    private Map<Object, Object> entries() {
      if (of != tables) {
        of = tables;
        entries = tables.computeIfAbsent(table, t -> new LinkedHashMap<>());
      }
      return entries;
    }

    @Override
    @SuppressWarnings("unchecked")
    public V get(K key) {
      V value = (V) entries().get(key);
      return strict ? Copies.of(value) : value;
    }

    @Override
    public void put(K key, V value) {
      entries().put(key, strict ? Copies.of(value) : value);
    }

    @Override
    public void remove(K key) {
      entries().remove(key);
    }

    @Override
    @SuppressWarnings("unchecked")
    public Iterable<K> keys() {
      List<K> keys = new ArrayList<>((java.util.Set<K>) entries().keySet());
      chance.shuffle(keys);
      return keys;
    }
  }
}
