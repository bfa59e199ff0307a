package io.gradflow.jobs;

import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.IncidentPolicy;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.operators.detect.Contact;
import io.gradflow.operators.detect.DetectFindings;
import io.gradflow.operators.detect.StepOrNotice;
import io.gradflow.operators.detect.TrackIncidents;
import io.gradflow.operators.norm.JoinManifests;
import io.gradflow.operators.norm.Rejections;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Finds what is sick: {@code gradient-steps}, with {@code gradient-manifests} for the layers' names
 * and {@code gradient-rules} for the policy, become {@code gradient-alerts}.
 */
public final class AlertJob {
  /** The job's name in Flink and in dead letters. */
  public static final String NAME = "AlertJob";

  private AlertJob() {}

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
    Edges edges = new Edges(environment, settings, "alert", NAME);

    var manifests = edges.declarations(Topic.MANIFESTS, () -> Codecs.MANIFESTS, Manifest.class);
    var runs = edges.declarations(Topic.RUNS, () -> Codecs.RUNS, RunEvent.class);
    var rules = edges.declarations(Topic.RULES, () -> Codecs.RULES, Rule.class);
    var steps = edges.read(Topic.STEPS, () -> Codecs.STEPS, Step.class);

    var notices = NormJob.join(manifests, runs);
    var findings =
        detect(
            steps,
            notices.getSideOutput(JoinManifests.RUN_NOTICES),
            rules,
            edges.contact("detect"));
    var alerts = track(findings, edges.contact("incidents"));

    edges.writeAlerts(alerts, Topic.ALERTS, () -> Codecs.ALERTS);
    edges.reject(notices.getSideOutput(Rejections.TAG), "unusable-manifests");
    edges.reject(findings.getSideOutput(DetectFindings.REJECTED), "unusable-steps");
    edges.writeDeadLetters();
  }

  private static SingleOutputStreamOperator<StepFindings> detect(
      DataStream<Step> steps,
      DataStream<RunNotice> notices,
      DataStream<Rule> rules,
      Contact contact) {
    return steps
        .map(StepOrNotice::of, RecordTypes.of(StepOrNotice.class))
        .uid("steps-to-judge")
        .name("steps to judge")
        .union(
            notices
                .map(StepOrNotice::of, RecordTypes.of(StepOrNotice.class))
                .uid("notices-to-judge-by")
                .name("notices to judge by"))
        .keyBy(StepOrNotice::run, Types.STRING)
        .connect(rules.broadcast(DetectFindings.RULES))
        .process(new DetectFindings(contact), RecordTypes.of(StepFindings.class))
        .uid("detect")
        .name("detect");
  }

  private static SingleOutputStreamOperator<Alert> track(
      DataStream<StepFindings> findings, Contact contact) {
    return findings
        .keyBy(step -> step.id().runId(), Types.STRING)
        .process(new TrackIncidents(IncidentPolicy.DEFAULT, contact), RecordTypes.of(Alert.class))
        .uid("incidents")
        .name("incidents");
  }
}
