package io.gradflow.operators.norm;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Queue;
import java.util.function.Supplier;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.apache.flink.state.rocksdb.RocksDBKeyedStateBackend;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.streaming.api.operators.co.KeyedCoProcessOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/**
 * One operator under test, under a clock that only the test moves; in some modes it is stopped with
 * a snapshot and restored from it before each element.
 */
final class Trial<K, A, B, OUT> implements AutoCloseable {
  /** How the operator keeps its state, and whether it is restored between all elements. */
  enum Mode {
    HEAP,
    HEAP_RESTORED,
    ROCKSDB_RESTORED;

    private StateBackend backend() {
      return this == ROCKSDB_RESTORED
          ? new EmbeddedRocksDBStateBackend()
          : new HashMapStateBackend();
    }

    private boolean restores() {
      return this != HEAP;
    }
  }

  private final Mode mode;
  private final Supplier<KeyedCoProcessFunction<K, A, B, OUT>> function;
  private final KeySelector<A, K> firstKey;
  private final KeySelector<B, K> secondKey;
  private final TypeInformation<K> keyType;
  private final OutputTag<?> side;
  private final List<OUT> output = new ArrayList<>();
  private final List<Object> sideOutput = new ArrayList<>();
  private KeyedTwoInputStreamOperatorTestHarness<K, A, B, OUT> harness;
  private long now = 1_000_000;
  private long checkpoint;

  Trial(
      Mode mode,
      Supplier<KeyedCoProcessFunction<K, A, B, OUT>> function,
      KeySelector<A, K> firstKey,
      KeySelector<B, K> secondKey,
      TypeInformation<K> keyType,
      OutputTag<?> side)
      throws Exception {
    this.mode = mode;
    this.function = function;
    this.firstKey = firstKey;
    this.secondKey = secondKey;
    this.keyType = keyType;
    this.side = side;
    harness = created();
    harness.open();
  }

  private KeyedTwoInputStreamOperatorTestHarness<K, A, B, OUT> created() throws Exception {
    var created =
        new KeyedTwoInputStreamOperatorTestHarness<>(
            new KeyedCoProcessOperator<>(function.get()), firstKey, secondKey, keyType);
    created.setStateBackend(mode.backend());
    created.getProcessingTimeService().setCurrentTime(now);
    created.setup();
    return created;
  }

  void first(A element) throws Exception {
    restore();
    harness.processElement1(new StreamRecord<>(element));
  }

  void second(B element) throws Exception {
    restore();
    harness.processElement2(new StreamRecord<>(element));
  }

  private void restore() throws Exception {
    if (mode.restores()) {
      crashAndRestore();
    }
  }

  /** Stops with a snapshot and starts from it. */
  void crashAndRestore() throws Exception {
    var snapshot = harness.snapshot(++checkpoint, now);
    collect();
    harness.close();
    harness = created();
    harness.initializeState(snapshot);
    harness.open();
  }

  /** Moves the clock and fires what is due. */
  void pass(long ms) throws Exception {
    now += ms;
    harness.setProcessingTime(now);
  }

  /** The clock moves in small steps while elements of something else keep the subtask busy. */
  void passBusily(long ms, A other) throws Exception {
    for (long passed = 0; passed < ms; passed += 500) {
      harness.processElement1(new StreamRecord<>(other));
      pass(500);
    }
  }

  /** The bounded input is over. */
  void end() throws Exception {
    restore();
    harness.processBothWatermarks(Watermark.MAX_WATERMARK);
  }

  List<OUT> output() {
    collect();
    return output;
  }

  List<Object> sideOutput() {
    collect();
    return sideOutput;
  }

  OUT last() {
    List<OUT> all = output();
    return all.get(all.size() - 1);
  }

  private void collect() {
    output.addAll(harness.extractOutputValues());
    harness.getOutput().clear();
    Queue<? extends StreamRecord<?>> side = harness.getSideOutput(this.side);
    if (side != null) {
      side.forEach(record -> sideOutput.add(record.getValue()));
      ((Collection<?>) side).clear();
    }
  }

  /** State entries and timers left; a snapshot makes RocksDB write what it still holds back. */
  int retained() throws Exception {
    harness.snapshot(++checkpoint, now);
    int entries =
        harness.getOperator().getKeyedStateBackend() instanceof RocksDBKeyedStateBackend<?> rocks
            ? rocks.numKeyValueStateEntries()
            : harness.numKeyedStateEntries();
    return entries + harness.numProcessingTimeTimers() + harness.numEventTimeTimers();
  }

  @Override
  public void close() {
    try {
      harness.close();
    } catch (Exception e) {
      throw new AssertionError("the operator did not close", e);
    }
  }
}
