package io.gradflow.core.simulation;

import io.gradflow.core.Store;
import io.gradflow.core.norm.GroupStep;
import io.gradflow.core.norm.LayerSums;
import io.gradflow.core.norm.ReducedSums;
import io.gradflow.core.norm.StepDelta;
import java.util.List;

/** What is broken on purpose, to see that the simulation notices. */
enum Break {
  NOTHING,
  /** A rank group does not know any more who contributed to a closed step. */
  FORGOTTEN_CONTRIBUTORS {
    @Override
    @SuppressWarnings("unchecked")
    <K, V> Store<K, V> store(String name, Store<K, V> store) {
      if (!name.equals("steps")) {
        return store;
      }
      return new Altered<>(store) {
        @Override
        public V get(K key) {
          V value = super.get(key);
          if (value instanceof GroupStep step && step.closed()) {
            return (V)
                new GroupStep(
                    step.firstAt(),
                    step.writtenAt(),
                    true,
                    step.conflicting(),
                    step.local(),
                    step.reduced(),
                    step.weighed(),
                    new long[0],
                    new long[0]);
          }
          return value;
        }
      };
    }
  },
  /** One of many shards that were to be kept for their step is not. */
  LOST_PUT {
    @Override
    <K, V> Store<K, V> store(String name, Store<K, V> store) {
      if (!name.equals("shards")) {
        return store;
      }
      return new Altered<>(store) {
        @Override
        public void put(K key, V value) {
          if (key.hashCode() % 50 != 0) {
            super.put(key, value);
          }
        }
      };
    }
  },
  /** Closed steps are never forgotten. */
  LOST_REMOVE {
    @Override
    <K, V> Store<K, V> store(String name, Store<K, V> store) {
      if (!name.equals("steps")) {
        return store;
      }
      return new Altered<>(store) {
        @Override
        public void remove(K key) {
          if (key.hashCode() % 50 != 0) {
            super.remove(key);
          }
        }
      };
    }
  },
  /** A second replica of a layer is added to the first. */
  REPLICA_ADDED {
    @Override
    List<StepDelta> delta(StepDelta delta) {
      ReducedSums reduced = delta.sums().reduced();
      if (reduced != null) {
        LayerSums whole = reduced.whole();
        for (int layer = 0; layer < reduced.copies().length; layer++) {
          if (reduced.copies()[layer] > 1) {
            whole.squares()[layer] *= 2;
          }
        }
      }
      return List.of(delta);
    }
  },
  /** What comes after a step has closed is counted, and never added. */
  FORGOTTEN_LATE_SHARD {
    @Override
    List<StepDelta> delta(StepDelta delta) {
      return delta.closedBy() == null ? List.of() : List.of(delta);
    }
  },
  /** What a rank group has of a step reaches its run twice. */
  REPEATED_DELTA {
    @Override
    List<StepDelta> delta(StepDelta delta) {
      return delta.id().step() % 50 == 0 ? List.of(delta, delta) : List.of(delta);
    }
  },
  /** A snapshot shares its arrays with the state that lives on. */
  SHALLOW_SNAPSHOT,
  /** After a crash reading goes on where it was, not where the snapshot was. */
  OFFSETS_AHEAD,
  /** Wake-ups are not restored. */
  LOST_ALARMS;

  /** The store that a machine works on. */
  <K, V> Store<K, V> store(String name, Store<K, V> store) {
    return store;
  }

  /** What becomes of a delta on its way. */
  List<StepDelta> delta(StepDelta delta) {
    return List.of(delta);
  }

  /** A store that does not quite do what it is told. */
  private static class Altered<K, V> implements Store<K, V> {
    private final Store<K, V> store;

    Altered(Store<K, V> store) {
      this.store = store;
    }

    @Override
    public V get(K key) {
      return store.get(key);
    }

    @Override
    public void put(K key, V value) {
      store.put(key, value);
    }

    @Override
    public void remove(K key) {
      store.remove(key);
    }

    @Override
    public Iterable<K> keys() {
      return store.keys();
    }
  }
}
