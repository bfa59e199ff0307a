package io.gradflow.jobs;

import io.gradflow.core.norm.AssemblingPolicy;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowPolicy;
import io.gradflow.operators.norm.AssembleSteps;
import io.gradflow.operators.norm.CombineShards;
import io.gradflow.operators.norm.JoinManifests;
import io.gradflow.operators.norm.Rejections;
import io.gradflow.operators.norm.RollWindows;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import java.time.Duration;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Puts shards together: {@code gradient-manifests, gradient-runs, gradient-shards} and {@code
 * gradient-blocks}, whose values are measured as they are read, become {@code gradient-steps} and
 * {@code gradient-windows}; what cannot be used goes to {@code gradient-dead-letters}.
 */
public final class NormJob {
  /** The job's name in Flink and in dead letters. */
  public static final String NAME = "NormJob";

  /**
   * Manifests are published once: they are kept longer than trainings last without a restart of the
   * job.
   */
  private static final Duration MANIFEST_RETENTION = Duration.ofDays(30);

  private NormJob() {}

  /**
   * Runs the job.
   *
   * @param arguments see {@link JobSettings#resolve}
   * @throws Exception if Flink cannot run it
   */
  public static void main(String[] arguments) throws Exception {
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    define(
        environment,
        JobSettings.resolve(arguments, System.getenv(), environment.getConfiguration()));
    environment.execute(NAME);
  }

  /** Defines the job in an environment, from Kafka to Kafka. */
  public static void define(StreamExecutionEnvironment environment, JobSettings settings) {
    JobSettings.prepare(environment);
    Edges edges = new Edges(environment, settings, "norm", NAME);

    var manifests = edges.declarations(Topic.MANIFESTS, () -> Codecs.MANIFESTS, Manifest.class);
    var runs = edges.declarations(Topic.RUNS, () -> Codecs.RUNS, RunEvent.class);
    var shards = edges.read(Topic.SHARDS, () -> Codecs.SHARDS, Shard.class);

    var blocks = edges.read(Topic.BLOCKS, () -> Codecs.BLOCKS, Block::measured, Shard.class);

    var notices = join(manifests, runs);
    var deltas = combine(shards.union(blocks), notices, settings.limits());
    var runNotices = notices.getSideOutput(JoinManifests.RUN_NOTICES);
    var steps = assemble(deltas, runNotices);
    var windows = window(steps, runNotices);

    edges.write(steps, Topic.STEPS, () -> Codecs.STEPS);
    edges.write(windows, Topic.WINDOWS, () -> Codecs.WINDOWS);
    edges.reject(notices.getSideOutput(Rejections.TAG), "unusable-manifests");
    edges.reject(deltas.getSideOutput(Rejections.TAG), "unusable-shards");
    edges.writeDeadLetters();
  }

  /**
   * Whole manifests and events, to the groups; to whole runs by {@link JoinManifests#RUN_NOTICES}.
   */
  static SingleOutputStreamOperator<GroupNotice> join(
      DataStream<Manifest> manifests, DataStream<RunEvent> runs) {
    return manifests
        .keyBy(Manifest::runId, Types.STRING)
        .connect(runs.keyBy(RunEvent::runId, Types.STRING))
        .process(new JoinManifests(MANIFEST_RETENTION), RecordTypes.of(GroupNotice.class))
        .uid("join-manifests")
        .name("join manifests");
  }

  private static SingleOutputStreamOperator<StepDelta> combine(
      DataStream<Shard> shards, DataStream<GroupNotice> notices, Limits limits) {
    return shards
        .keyBy(RankGroup::of, RecordTypes.of(RankGroup.class))
        .connect(notices.keyBy(GroupNotice::key, RecordTypes.of(RankGroup.class)))
        .process(
            new CombineShards(CombiningPolicy.defaults().within(limits)),
            RecordTypes.of(StepDelta.class))
        .uid("combine")
        .name("combine");
  }

  private static SingleOutputStreamOperator<Step> assemble(
      DataStream<StepDelta> deltas, DataStream<RunNotice> notices) {
    return deltas
        .keyBy(delta -> delta.id().runId(), Types.STRING)
        .connect(notices.keyBy(RunNotice::runId, Types.STRING))
        .process(new AssembleSteps(AssemblingPolicy.defaults()), RecordTypes.of(Step.class))
        .uid("assemble")
        .name("assemble");
  }

  private static SingleOutputStreamOperator<LayerWindow> window(
      DataStream<Step> steps, DataStream<RunNotice> notices) {
    return steps
        .keyBy(step -> step.id().runId(), Types.STRING)
        .connect(notices.keyBy(RunNotice::runId, Types.STRING))
        .process(new RollWindows(WindowPolicy.defaults()), RecordTypes.of(LayerWindow.class))
        .uid("window")
        .name("window");
  }
}
