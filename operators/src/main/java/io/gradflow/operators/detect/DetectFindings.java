package io.gradflow.operators.detect;

import io.gradflow.core.Rejection;
import io.gradflow.core.StepId;
import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.HeldSteps;
import io.gradflow.core.detect.LayerTable;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.RunDetector;
import io.gradflow.core.detect.RunTrends;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepParts;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codecs;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReadOnlyBroadcastState;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.functions.co.KeyedBroadcastProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/**
 * Judges the steps of a run: joins their parts, lets them wait for their manifest, and hands them
 * to {@link RunDetector} under the rules in force. Keyed by run; rules are broadcast.
 *
 * <p>Guarantees: one {@link StepFindings} for each step that is news, in the order the steps came;
 * what cannot be judged leaves by {@link #REJECTED} with its reason: {@code no-manifest,
 * bad-columns, step-parts, too-many-manifests, void-rule}. One more, that is {@code timed}, when a
 * run's steps have stopped coming. A run of which nothing is heard for {@code retention} leaves
 * nothing behind.
 *
 * <p>Assumes whole manifests. Does not order rules against steps: a step is judged by the rules
 * that came before it, and says their version.
 */
public final class DetectFindings
    extends KeyedBroadcastProcessFunction<String, StepOrNotice, Rule, StepFindings> {
  /** What could not be judged. */
  public static final OutputTag<Rejection> REJECTED =
      new OutputTag<>("detect-rejected", RecordTypes.of(Rejection.class));

  /** The broadcast rules, by scope and kind. */
  public static final MapStateDescriptor<String, Rule> RULES =
      new MapStateDescriptor<>("rules", Types.STRING, RecordTypes.of(Rule.class));

  /** A pipeline has one per stage; what is beyond this is no training. */
  private static final int MOST_MANIFESTS = 1_024;

  private static final int MOST_CACHED = 256;

  private final Duration manifestPatience;
  private final Duration retention;
  private final Contact contact;

  private transient ValueState<RunTrends> trends;
  private transient ValueState<HeldSteps> held;
  private transient ValueState<StepParts> parts;
  private transient MapState<Long, Manifest> manifests;
  private transient Silence silence;
  private transient StallWatch stalls;
  private transient Map<Long, LayerTable> tables;
  private transient Map<String, DetectionPolicy> policies;
  private transient Counter judged;
  private transient Counter repeated;
  private transient Counter rejected;
  private transient Counter shadowed;

  /**
   * An operator with these waits.
   *
   * @param manifestPatience how long a step waits for its manifest
   * @param retention how long a silent run is remembered
   * @param contact with where the runs are heard
   */
  public DetectFindings(Duration manifestPatience, Duration retention, Contact contact) {
    this.manifestPatience = manifestPatience;
    this.retention = retention;
    this.contact = contact;
  }

  /** An operator with the default waits: 30 s and 24 h. */
  public DetectFindings(Contact contact) {
    this(Duration.ofSeconds(30), Duration.ofHours(24), contact);
  }

  @Override
  public void open(OpenContext context) {
    var runtime = getRuntimeContext();
    trends =
        runtime.getState(new ValueStateDescriptor<>("trends", RecordTypes.of(RunTrends.class)));
    held = runtime.getState(new ValueStateDescriptor<>("held", RecordTypes.of(HeldSteps.class)));
    parts = runtime.getState(new ValueStateDescriptor<>("parts", RecordTypes.of(StepParts.class)));
    manifests =
        runtime.getMapState(
            new MapStateDescriptor<>("manifests", Types.LONG, RecordTypes.of(Manifest.class)));
    contact.open(runtime.getTaskInfo().getIndexOfThisSubtask());
    silence = new Silence(runtime, retention, contact);
    stalls = new StallWatch(runtime, silence);
    tables = cache();
    policies = cache();
    MetricGroup metrics = runtime.getMetricGroup().addGroup("gradflow");
    judged = metrics.counter("steps_judged");
    repeated = metrics.counter("steps_repeated");
    rejected = metrics.counter("rejected");
    shadowed = metrics.counter("findings_shadowed");
  }

  @Override
  public void close() {
    contact.close();
  }

  @Override
  public void processElement(
      StepOrNotice input, ReadOnlyContext context, Collector<StepFindings> out) throws Exception {
    silence.end(context.timerService());
    if (input.notice() != null) {
      RunNotice notice = input.notice();
      if (notice.manifest() != null) {
        accept(notice.manifest(), context, out);
      } else {
        // For detectors it comes with the step it precedes; a silence has no such step.
        stalls.event(notice.event(), policy(context, notice.runId()), context.timerService());
      }
      return;
    }
    StepParts before = parts.value() == null ? StepParts.NONE : parts.value();
    StepParts.Addition addition = before.add(input.step());
    if (addition.state().parts().isEmpty()) {
      parts.clear();
    } else {
      parts.update(addition.state());
    }
    for (Step part : addition.forgotten()) {
      String detail =
          "%s: expected %d parts, got only some of them before others had to be kept"
              .formatted(part.id(), part.parts());
      reject(context, "step-parts", part.id(), detail);
    }
    if (!addition.whole().isEmpty()) {
      accept(Codecs.STEPS.join(addition.whole()), context, out);
    }
  }

  @Override
  public void processBroadcastElement(Rule rule, Context context, Collector<StepFindings> out)
      throws Exception {
    BroadcastState<String, Rule> rules = context.getBroadcastState(RULES);
    try {
      DetectionPolicy.DEFAULT.with(rule);
    } catch (IllegalArgumentException e) {
      var about = new StepId(rule.scope(), 0, StepId.MAIN_STREAM, -1);
      String detail = "rule of policy version " + rule.policyVersion() + ": " + e.getMessage();
      context.output(REJECTED, rejection("void-rule", about, detail));
      return;
    }
    String key = rule.scope() + "|" + rule.kind();
    Rule before = rules.get(key);
    if (before == null || before.policyVersion() <= rule.policyVersion()) {
      rules.put(key, rule);
      policies.clear();
    }
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<StepFindings> out)
      throws Exception {
    rejectOverdue(context);
    DetectionPolicy policy = policy(context, context.getCurrentKey());
    stalls
        .wake(policy, context.timerService())
        .ifPresent(
            stall -> {
              countShadowed(stall);
              out.collect(stall);
            });
    if (silence.hasLasted(context.timerService())) {
      trends.clear();
      held.clear();
      parts.clear();
      manifests.clear();
      stalls.clear();
      silence.clear();
    }
  }

  private void accept(Manifest manifest, ReadOnlyContext context, Collector<StepFindings> out)
      throws Exception {
    long id = manifest.manifestId();
    if (!manifests.contains(id) && count(manifests.keys()) >= MOST_MANIFESTS) {
      var about = new StepId(manifest.runId(), manifest.attempt(), manifest.stream(), -1);
      String detail = about + ": expected at most " + MOST_MANIFESTS + " manifests, got one more";
      reject(context, "too-many-manifests", about, detail);
      return;
    }
    manifests.put(id, manifest);
    HeldSteps waiting = held.value();
    if (waiting != null) {
      for (Step step : waiting.of(id)) {
        judge(step, manifest, context, out);
      }
      keep(waiting.without(id));
    }
  }

  private void accept(Step step, ReadOnlyContext context, Collector<StepFindings> out)
      throws Exception {
    Manifest manifest = manifests.get(step.manifestId());
    if (manifest != null) {
      judge(step, manifest, context, out);
      return;
    }
    HeldSteps waiting = held.value() == null ? HeldSteps.NONE : held.value();
    if (waiting.isFull()) {
      rejectUnmanifested(context, step);
      return;
    }
    long now = silence.now(context.timerService());
    keep(waiting.and(step, now));
    context.timerService().registerProcessingTimeTimer(now + manifestPatience.toMillis());
  }

  /** Time in which nothing could be heard is no waiting: the manifest may have come meanwhile. */
  private void rejectOverdue(OnTimerContext context) throws Exception {
    HeldSteps waiting = held.value();
    if (waiting == null) {
      return;
    }
    long now = silence.now(context.timerService());
    long due = silence.startedMs() + manifestPatience.toMillis();
    if (now < due) {
      context.timerService().registerProcessingTimeTimer(due);
      return;
    }
    long before = now - manifestPatience.toMillis();
    for (Step step : waiting.until(before)) {
      rejectUnmanifested(context, step);
    }
    keep(waiting.after(before));
  }

  private void keep(HeldSteps waiting) throws Exception {
    if (waiting.steps().isEmpty()) {
      held.clear();
    } else {
      held.update(waiting);
    }
  }

  private void judge(
      Step step, Manifest manifest, ReadOnlyContext context, Collector<StepFindings> out)
      throws Exception {
    LayerTable table = tables.computeIfAbsent(step.manifestId(), id -> LayerTable.of(manifest));
    DetectionPolicy policy = policy(context, step.id().runId());
    RunDetector.Judgement judgement;
    try {
      judgement = RunDetector.judge(policy, table, trends.value(), step);
    } catch (IllegalArgumentException e) {
      reject(context, "bad-columns", step.id(), e.getMessage());
      return;
    }
    trends.update(judgement.state());
    if (judgement.findings().isEmpty()) {
      repeated.inc();
      return;
    }
    judged.inc();
    stalls.step(step, policy, context.timerService());
    countShadowed(judgement.findings().get());
    out.collect(judgement.findings().get());
  }

  private void countShadowed(StepFindings step) {
    shadowed.inc(step.findings().stream().filter(Finding::shadow).count());
  }

  private DetectionPolicy policy(ReadOnlyContext context, String runId) throws Exception {
    DetectionPolicy policy = policies.get(runId);
    if (policy == null) {
      ReadOnlyBroadcastState<String, Rule> rules = context.getBroadcastState(RULES);
      List<Rule> inForce = new ArrayList<>();
      for (Map.Entry<String, Rule> entry : rules.immutableEntries()) {
        inForce.add(entry.getValue());
      }
      policy = DetectionPolicy.DEFAULT.with(inForce, runId);
      policies.put(runId, policy);
    }
    return policy;
  }

  private void rejectUnmanifested(ReadOnlyContext context, Step step) {
    String detail =
        "%s: expected manifest %016x within %d s, got none; publish it before the steps"
            .formatted(step.id(), step.manifestId(), manifestPatience.toSeconds());
    reject(context, "no-manifest", step.id(), detail);
  }

  private void reject(ReadOnlyContext context, String reason, StepId id, String detail) {
    context.output(REJECTED, rejection(reason, id, detail));
  }

  private Rejection rejection(String reason, StepId id, String detail) {
    rejected.inc();
    return new Rejection(reason, detail, id, -1, null);
  }

  private static int count(Iterable<?> items) {
    int count = 0;
    for (Object ignored : items) {
      count++;
    }
    return count;
  }

  /** A cache that forgets what was used longest ago. */
  private static <K, V> Map<K, V> cache() {
    return new LinkedHashMap<>(16, 0.75f, true) {
      @Override
      protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
        return size() > MOST_CACHED;
      }
    };
  }
}
