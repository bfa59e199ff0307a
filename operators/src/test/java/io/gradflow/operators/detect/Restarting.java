package io.gradflow.operators.detect;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.flink.runtime.state.heap.HeapKeyedStateBackend;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/**
 * An operator under test that may be restarted from a snapshot before every event, as if each were
 * preceded by a crash.
 *
 * @param <H> the kind of harness
 * @param <O> what the operator puts out
 */
final class Restarting<H extends AbstractStreamOperatorTestHarness<O>, O> implements AutoCloseable {

  /** Something done to the harness. */
  interface Event<H> {
    void on(H harness) throws Exception;
  }

  private final Fresh<H> fresh;
  private final boolean restarts;
  private final List<O> output = new ArrayList<>();
  private final List<Object> aside = new ArrayList<>();
  private final OutputTag<?> tag;
  private H harness;
  private long nowMs;

  /** Makes harnesses that are not open yet. */
  interface Fresh<H> {
    H harness() throws Exception;
  }

  Restarting(Fresh<H> fresh, OutputTag<?> tag, boolean restarts) throws Exception {
    this.fresh = fresh;
    this.tag = tag;
    this.restarts = restarts;
    harness = fresh.harness();
    harness.open();
  }

  void event(Event<H> event) throws Exception {
    if (restarts) {
      restart();
    }
    event.on(harness);
    drain();
  }

  /** Time passes, the operator running. */
  void pass(long ms) throws Exception {
    nowMs += ms;
    event(h -> h.setProcessingTime(nowMs));
  }

  /** Time passes, the operator running and not restarted before it. */
  void passWithoutRestart(long ms) throws Exception {
    nowMs += ms;
    harness.setProcessingTime(nowMs);
    drain();
  }

  /** Time passes while the operator does not run. */
  void outage(long ms) throws Exception {
    nowMs += ms;
    restart();
    drain();
  }

  private void restart() throws Exception {
    var snapshot = harness.snapshot(0, 0);
    harness.close();
    harness = fresh.harness();
    harness.setProcessingTime(nowMs);
    harness.initializeState(snapshot);
    harness.open();
    harness.setProcessingTime(nowMs);
  }

  List<O> output() {
    return output;
  }

  List<Object> aside() {
    return aside;
  }

  @SuppressWarnings("unchecked")
  private void drain() {
    for (Object element : harness.getOutput()) {
      if (element instanceof StreamRecord<?> record) {
        output.add((O) record.getValue());
      }
    }
    harness.getOutput().clear();
    ConcurrentLinkedQueue<?> side = tag == null ? null : harness.getSideOutput(tag);
    if (side != null) {
      side.forEach(element -> aside.add(((StreamRecord<?>) element).getValue()));
      side.clear();
    }
  }

  /** Keys and values the operator still keeps. */
  int entries() {
    var operator = (AbstractStreamOperator<?>) harness.getOperator();
    return ((HeapKeyedStateBackend<?>) operator.getKeyedStateBackend()).numKeyValueStateEntries();
  }

  int timers() {
    return harness.numProcessingTimeTimers() + harness.numEventTimeTimers();
  }

  @Override
  public void close() {
    try {
      harness.close();
    } catch (Exception e) {
      throw new AssertionError("the operator does not close", e);
    }
  }
}
