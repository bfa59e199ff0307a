package io.gradflow.operators.norm;

import io.gradflow.core.Store;
import io.gradflow.operators.types.RecordTypes;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.util.FlinkRuntimeException;

/** A machine's store in the state of the current key. */
final class KeyedStore<K, V> implements Store<K, V> {
  private final MapState<K, V> state;

  private KeyedStore(MapState<K, V> state) {
    this.state = state;
  }

  static <K, V> KeyedStore<K, V> of(
      RuntimeContext context, String name, Class<K> key, Class<V> value) {
    return of(context, name, RecordTypes.of(key), value);
  }

  /** A store by number. */
  static <V> KeyedStore<Long, V> of(RuntimeContext context, String name, Class<V> value) {
    return of(context, name, Types.LONG, value);
  }

  private static <K, V> KeyedStore<K, V> of(
      RuntimeContext context, String name, TypeInformation<K> key, Class<V> value) {
    return new KeyedStore<>(
        context.getMapState(new MapStateDescriptor<>(name, key, RecordTypes.of(value))));
  }

  @Override
  public V get(K key) {
    try {
      return state.get(key);
    } catch (Exception e) {
      throw new FlinkRuntimeException(e);
    }
  }

  @Override
  public void put(K key, V value) {
    try {
      state.put(key, value);
    } catch (Exception e) {
      throw new FlinkRuntimeException(e);
    }
  }

  @Override
  public void remove(K key) {
    try {
      state.remove(key);
    } catch (Exception e) {
      throw new FlinkRuntimeException(e);
    }
  }

  @Override
  public Iterable<K> keys() {
    try {
      return state.keys();
    } catch (Exception e) {
      throw new FlinkRuntimeException(e);
    }
  }
}
