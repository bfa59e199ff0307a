package io.gradflow.operators.wire;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/**
 * One operator of an edge under test, serialized as if it were submitted; it may be stopped with a
 * snapshot and restored from it before each element.
 */
final class WireTrial<I, O> implements AutoCloseable {
  static final DeadLetters LETTERS = new DeadLetters("NormJob", "1.2.3");

  private final Supplier<ProcessFunction<I, O>> function;
  private final OutputTag<OutgoingRecord> side;
  private final boolean restores;
  private final List<O> output = new ArrayList<>();
  private final List<OutgoingRecord> letters = new ArrayList<>();
  private OneInputStreamOperatorTestHarness<I, O> harness;

  WireTrial(
      Supplier<ProcessFunction<I, O>> function, OutputTag<OutgoingRecord> side, boolean restores)
      throws Exception {
    this.function = function;
    this.side = side;
    this.restores = restores;
    harness = created();
    harness.open();
  }

  private OneInputStreamOperatorTestHarness<I, O> created() throws Exception {
    return new OneInputStreamOperatorTestHarness<>(new ProcessOperator<>(function.get()));
  }

  void put(I element) throws Exception {
    if (restores) {
      var snapshot = harness.snapshot(1, 1);
      assertThat(snapshot.getManagedOperatorState()).isEmpty();
      harness.close();
      harness = created();
      harness.initializeState(snapshot);
      harness.open();
    }
    harness.processElement(new StreamRecord<>(element));
    output.addAll(harness.extractOutputValues());
    harness.getOutput().clear();
    var refused = harness.getSideOutput(side);
    if (refused != null) {
      refused.forEach(record -> letters.add(record.getValue()));
      refused.clear();
    }
  }

  /** What passed. */
  List<O> output() {
    return output;
  }

  /** What became a dead letter. */
  List<OutgoingRecord> letters() {
    return letters;
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    try {
      // Timers need a key, and an operator of an edge has none: state is all that could be left.
      assertThat(harness.snapshot(2, 2).getManagedOperatorState()).isEmpty();
      harness.close();
    } catch (Exception e) {
      throw new AssertionError("the operator did not close", e);
    }
  }
}
