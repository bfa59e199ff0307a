package io.gradflow.operators.norm;

import io.gradflow.core.Cell;
import io.gradflow.operators.types.RecordTypes;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;

/** A machine's cell in the state of the current key. */
final class KeyedCell<V> implements Cell<V> {
  private final ValueState<V> state;

  private KeyedCell(ValueState<V> state) {
    this.state = state;
  }

  static <V> KeyedCell<V> of(RuntimeContext context, String name, Class<V> type) {
    return new KeyedCell<>(
        context.getState(new ValueStateDescriptor<>(name, RecordTypes.of(type))));
  }

  @Override
  public V get() {
    try {
      return state.value();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void set(V value) {
    try {
      state.update(value);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
