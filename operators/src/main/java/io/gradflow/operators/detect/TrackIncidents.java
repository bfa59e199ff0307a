package io.gradflow.operators.detect;

import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.IncidentPolicy;
import io.gradflow.core.incident.IncidentTracker;
import io.gradflow.core.incident.RunIncidents;
import io.gradflow.operators.types.RecordTypes;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Folds the findings of a run into incidents and publishes their transitions. Keyed by run.
 *
 * <p>When nothing was heard of a run for {@link IncidentPolicy#orphanAfter}, its open incidents
 * expire and nothing of the run is kept.
 */
public final class TrackIncidents extends KeyedProcessFunction<String, StepFindings, Alert> {
  private final IncidentPolicy policy;
  private final Contact contact;
  private transient IncidentTracker tracker;
  private transient ValueState<RunIncidents> incidents;
  private transient Silence silence;

  /**
   * An operator of that policy.
   *
   * @param contact with where the runs are heard
   */
  public TrackIncidents(IncidentPolicy policy, Contact contact) {
    this.policy = policy;
    this.contact = contact;
  }

  @Override
  public void open(OpenContext context) {
    tracker = new IncidentTracker(policy);
    incidents =
        getRuntimeContext()
            .getState(new ValueStateDescriptor<>("incidents", RecordTypes.of(RunIncidents.class)));
    contact.open(getRuntimeContext().getTaskInfo().getIndexOfThisSubtask());
    silence = new Silence(getRuntimeContext(), policy.orphanAfter(), contact);
  }

  @Override
  public void close() {
    contact.close();
  }

  @Override
  public void processElement(StepFindings step, Context context, Collector<Alert> out)
      throws Exception {
    long now = context.timerService().currentProcessingTime();
    silence.end(context.timerService());
    IncidentTracker.Outcome outcome = tracker.fold(incidents.value(), step, now);
    incidents.update(outcome.state());
    outcome.alerts().forEach(out::collect);
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<Alert> out)
      throws Exception {
    if (silence.hasLasted(context.timerService())) {
      long now = context.timerService().currentProcessingTime();
      tracker.expire(incidents.value(), now).forEach(out::collect);
      incidents.clear();
      silence.clear();
    }
  }
}
