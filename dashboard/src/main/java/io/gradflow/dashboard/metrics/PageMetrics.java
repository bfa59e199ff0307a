package io.gradflow.dashboard.metrics;

import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.dashboard.live.IncidentRow;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.LiveStream;
import io.gradflow.dashboard.live.StepRow;
import io.gradflow.schema.Topic;
import io.prometheus.metrics.config.EscapingScheme;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.core.metrics.Histogram;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * The metrics of the page. Counters count what was read since the start, the backfill included;
 * gauges are of the moment they are asked.
 */
public final class PageMetrics {
  /** What text the metrics are. */
  public static final String CONTENT_TYPE = PrometheusTextFormatWriter.CONTENT_TYPE;

  private static final int MOST_STREAMS = 5_000;
  private static final int MOST_LABELLED_RUNS = 50;
  private static final int MOST_LABEL_CHARACTERS = 500;
  private static final double[] LAG_SECONDS = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
  };

  /** The documented reasons of dead letters; any other is counted as "other". */
  private static final Set<String> REASONS =
      Set.of(
          "empty",
          "too-large",
          "malformed",
          "unknown-framing",
          "unknown-schema",
          "wrong-schema",
          "bad-header",
          "bad-columns",
          "bad-manifest",
          "no-manifest",
          "too-many-manifests",
          "bad-shard",
          "not-due",
          "fenced",
          "too-late",
          "no-room",
          "step-parts",
          "void-rule");

  private final PrometheusRegistry registry = new PrometheusRegistry();
  private final Set<String> names = new HashSet<>();
  private final PrometheusTextFormatWriter writer = PrometheusTextFormatWriter.create();
  private final AtomicInteger clients = new AtomicInteger();
  private final Counter alerts;
  private final Counter steps;
  private final Counter deadLetters;
  private final Counter records;
  private final Counter unreadable;
  private final Histogram lag;

  /** Which metrics there are of single runs. */
  public enum OfRuns {
    /** None: any number of runs costs nothing. */
    NONE,
    /** Of the 50 runs that were last updated. */
    LATEST
  }

  /** Metrics of what is known of runs. */
  public PageMetrics(LiveRuns live, OfRuns ofRuns) {
    alerts =
        counter(
            "gradflow_alerts_total",
            "Alerts read, each transition once.",
            "kind",
            "severity",
            "state");
    steps =
        counter("gradflow_steps_total", "Steps read; revisions of a step count once.", "closed_by");
    deadLetters = counter("gradflow_dead_letters_total", "Dead letters read.", "reason");
    records = counter("gradflow_dashboard_records_total", "Records read.", "topic");
    unreadable =
        counter(
            "gradflow_dashboard_unreadable_total",
            "Records that could not be decoded, passed over.",
            "topic");
    lag =
        Histogram.builder()
            .name(named("gradflow_pipeline_lag_seconds"))
            .help("Time from a step's first shard in the broker to the step in gradient-steps.")
            .classicOnly()
            .classicUpperBounds(LAG_SECONDS)
            .register(registry);
    for (ClosedBy reason : ClosedBy.values()) {
      steps.initLabelValues(reason.name());
    }
    runs(live);
    page(live);
    if (ofRuns == OfRuns.LATEST) {
      singleRuns(live);
    }
  }

  /** The names of all metrics, those of single runs among them. */
  public static Set<String> metricNames() {
    return Set.copyOf(new PageMetrics(new LiveRuns(0), OfRuns.LATEST).names);
  }

  private String named(String name) {
    names.add(name);
    return name;
  }

  private Counter counter(String name, String help, String... labels) {
    return Counter.builder().name(named(name)).help(help).labelNames(labels).register(registry);
  }

  private void gauge(
      String name, String help, Consumer<GaugeWithCallback.Callback> callback, String... labels) {
    GaugeWithCallback.builder()
        .name(named(name))
        .help(help)
        .labelNames(labels)
        .callback(callback)
        .register(registry);
  }

  private void runs(LiveRuns live) {
    gauge(
        "gradflow_runs",
        "Runs, each with its streams, known to the page, by state.",
        to -> {
          long now = System.currentTimeMillis();
          Map<LiveStream.State, Integer> counts = new EnumMap<>(LiveStream.State.class);
          live.lookAtAll(MOST_STREAMS, stream -> stream.state(now))
              .forEach(state -> counts.merge(state, 1, Integer::sum));
          for (LiveStream.State state : LiveStream.State.values()) {
            to.call(counts.getOrDefault(state, 0), state.name());
          }
        },
        "state");
    gauge(
        "gradflow_incidents_open",
        "Incidents neither resolved nor expired; severity INFO is advice.",
        to ->
            live.openByKind()
                .forEach(
                    (kind, counts) ->
                        counts.forEach(
                            (severity, count) -> to.call(count, kind.name(), severity.name()))),
        "kind",
        "severity");
    gauge(
        "gradflow_step_completeness_min",
        "Lowest completeness of the newest steps of the runs that run, 0 to 1; 1 while none does.",
        to ->
            to.call(
                newestOfRunning(live).stream().mapToDouble(StepRow::completeness).min().orElse(1)));
    gauge(
        "gradflow_trainer_dropped_records",
        "Records that trainers dropped so far: sum over the newest steps of the runs that run.",
        to -> to.call((double) newestOfRunning(live).stream().mapToLong(StepRow::dropped).sum()));
  }

  private static List<StepRow> newestOfRunning(LiveRuns live) {
    long now = System.currentTimeMillis();
    return live
        .lookAtAll(
            MOST_STREAMS,
            stream ->
                Optional.ofNullable(
                    stream.state(now) == LiveStream.State.RUNNING
                        ? stream.window().newest()
                        : null))
        .stream()
        .flatMap(Optional::stream)
        .toList();
  }

  private void page(LiveRuns live) {
    gauge(
        "gradflow_dashboard_clients",
        "Open event streams of the page.",
        to -> to.call(clients.get()));
    gauge(
        "gradflow_dashboard_behind_records",
        "Records in the topics that the page has not read yet.",
        to -> to.call(live.reading().behind()));
    gauge(
        "gradflow_dashboard_read_lag_seconds",
        "Time since the page last heard from the broker.",
        to ->
            to.call(Math.max(0, System.currentTimeMillis() - live.reading().heardAt()) / 1_000.0));
    gauge(
        "gradflow_dashboard_window_bytes",
        "Memory that the steps of all runs take.",
        to -> to.call((double) live.bytes()));
  }

  private interface RunValue {
    void call(LiveStream stream, GaugeWithCallback.Callback to, String run, String name);
  }

  private void singleRuns(LiveRuns live) {
    ofRun(live, "gradflow_run_step", "Newest step.", (row, stream) -> (double) row.step());
    ofRun(live, "gradflow_run_loss", "Loss; absent while unknown.", (row, stream) -> row.loss());
    ofRun(
        live,
        "gradflow_run_global_norm",
        "L2 norm of the whole gradient; absent while unknown or not finite.",
        (row, stream) -> row.globalNorm());
    ofRun(live, "gradflow_run_completeness", "0 to 1.", (row, stream) -> row.completeness());
    ofRun(
        live,
        "gradflow_run_steps_per_second",
        "Over the last 50 steps.",
        (row, stream) -> stream.stepsPerSecond());
    gauge(
        "gradflow_run_open_incidents",
        "Incidents neither resolved nor expired.",
        to ->
            eachRun(
                live,
                to,
                (stream, callback, run, name) -> {
                  Map<Severity, Integer> counts = new EnumMap<>(Severity.class);
                  stream.incidents().stream()
                      .filter(IncidentRow::isOpen)
                      .forEach(row -> counts.merge(row.alert().severity(), 1, Integer::sum));
                  for (Severity severity : Severity.values()) {
                    callback.call(counts.getOrDefault(severity, 0), run, name, severity.name());
                  }
                }),
        "run",
        "stream",
        "severity");
  }

  private interface StepValue {
    double of(StepRow newest, LiveStream stream);
  }

  private void ofRun(LiveRuns live, String name, String help, StepValue value) {
    gauge(
        name,
        help,
        to ->
            eachRun(
                live,
                to,
                (stream, callback, run, streamName) -> {
                  StepRow newest = stream.window().newest();
                  double found = newest == null ? Double.NaN : value.of(newest, stream);
                  if (!Double.isNaN(found)) {
                    callback.call(found, run, streamName);
                  }
                }),
        "run",
        "stream");
  }

  private static void eachRun(LiveRuns live, GaugeWithCallback.Callback to, RunValue value) {
    live.lookAtAll(
        MOST_LABELLED_RUNS,
        stream -> {
          value.call(stream, to, label(stream.name().run()), label(stream.name().stream()));
          return stream;
        });
  }

  private static String label(String name) {
    return name.length() <= MOST_LABEL_CHARACTERS ? name : name.substring(0, MOST_LABEL_CHARACTERS);
  }

  // --- what is counted

  /** A record was read. */
  public void record(Topic topic) {
    records.labelValues(topic.topicName()).inc();
  }

  /** A record could not be decoded. */
  public void unreadable(Topic topic) {
    unreadable.labelValues(topic.topicName()).inc();
  }

  /** A step that says something new; its revisions are not counted again. */
  public void step(StepRow row) {
    steps.labelValues(row.closedBy().name()).inc();
    if (row.lagMs() >= 0) {
      lag.observe(row.lagMs() / 1_000.0);
    }
  }

  /** An alert that says something new. */
  public void alert(Alert alert) {
    alerts.labelValues(alert.kind().name(), alert.severity().name(), alert.state().name()).inc();
  }

  /** A dead letter. */
  public void deadLetter(String reason) {
    deadLetters.labelValues(REASONS.contains(reason) ? reason : "other").inc();
  }

  /** How many event streams are open. */
  public AtomicInteger clients() {
    return clients;
  }

  /** Prometheus text. */
  public byte[] text() {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    try {
      writer.write(text, registry.scrape(), EscapingScheme.ALLOW_UTF8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toByteArray();
  }
}
