package io.gradflow.operators.detect;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Supplier;
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

  private final Supplier<H> fresh;
  private final boolean restarts;
  private final List<O> output = new ArrayList<>();
  private final List<Object> aside = new ArrayList<>();
  private final OutputTag<?> tag;
  private H harness;
  private long nowMs;

  Restarting(Supplier<H> fresh, OutputTag<?> tag, boolean restarts) throws Exception {
    this.fresh = fresh;
    this.tag = tag;
    this.restarts = restarts;
    harness = fresh.get();
    harness.open();
  }

  void event(Event<H> event) throws Exception {
    if (restarts) {
      var snapshot = harness.snapshot(0, 0);
      harness.close();
      harness = fresh.get();
      harness.initializeState(snapshot);
      harness.setProcessingTime(nowMs);
      harness.open();
    }
    event.on(harness);
    drain();
  }

  void pass(long ms) throws Exception {
    nowMs += ms;
    event(h -> h.setProcessingTime(nowMs));
  }

  List<O> output() {
    return output;
  }

  List<Object> aside() {
    return aside;
  }

  H harness() {
    return harness;
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

  @Override
  public void close() throws Exception {
    harness.close();
  }
}
