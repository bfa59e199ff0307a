package io.gradflow.cli;

import io.gradflow.cli.RunSnapshot.LayerTrace;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Reads what the jobs publish of one run, from the topics alone, and keeps what people want to see
 * of it.
 *
 * <p>Its thread reads; every method may be called from any other.
 */
final class RunFollower implements AutoCloseable {
  private static final int RECENT_STEPS = 120;
  private static final int RATE_STEPS = 50;
  private static final double BASELINE_MEMORY = 0.98;
  private static final double LOG_2 = Math.log(2);

  private final String bootstrapServers;
  private final String run;
  private final TopicReader reader;
  private final Thread thread;
  private final TreeMap<Long, Progressed> steps = new TreeMap<>();
  private final TreeMap<Long, double[]> recent = new TreeMap<>();
  private final Incidents incidents = new Incidents();
  private Layer[] layers = new Layer[0];
  private double[] baselines = new double[0];
  private final ArrayDeque<Long> arrivals = new ArrayDeque<>();
  private Step newest;
  private final Set<String> deadLetters = new HashSet<>();

  /** How far a step is. */
  private record Progressed(long revision, double completeness) {}

  private RunFollower(String bootstrapServers, String run) {
    this.bootstrapServers = bootstrapServers;
    this.run = run;
    this.reader = reader();
    this.thread = new Thread(reader::follow, "following " + run);
    this.thread.setDaemon(true);
  }

  /** Starts to follow a run. */
  static RunFollower start(String bootstrapServers, String run) {
    RunFollower follower = new RunFollower(bootstrapServers, run);
    follower.thread.start();
    return follower;
  }

  private TopicReader reader() {
    return new TopicReader(bootstrapServers, WriterSchemas.known())
        .with(Codecs.MANIFESTS, this::manifest)
        .with(Codecs.STEPS, this::step)
        .with(Codecs.ALERTS, this::alert)
        .withRaw(Topic.DEAD_LETTERS, this::deadLetter);
  }

  /**
   * Returns when everything that is in the topics now has been read. Reading a record twice changes
   * nothing.
   */
  void catchUp() {
    try (TopicReader again = reader()) {
      again.readToEnd();
    }
  }

  private synchronized void manifest(Manifest part) {
    if (!part.runId().equals(run)) {
      return;
    }
    if (layers.length != part.layerCount()) {
      layers = new Layer[part.layerCount()];
      baselines = new double[part.layerCount()];
      Arrays.fill(baselines, Double.NaN);
    }
    for (int i = 0; i < part.layers().size(); i++) {
      layers[part.firstLayer() + i] = part.layers().get(i);
    }
  }

  private synchronized void step(Step part) {
    if (!part.id().runId().equals(run)) {
      return;
    }
    long number = part.id().step();
    Progressed before = steps.get(number);
    if (before != null && before.revision() > part.revision()) {
      return;
    }
    steps.put(number, new Progressed(part.revision(), part.completeness()));
    if (newest == null || number >= newest.id().step()) {
      newest = part;
    }
    double[] readings = readings(part);
    recent.put(number, readings);
    if (recent.size() > RECENT_STEPS) {
      recent.pollFirstEntry();
    }
    if (before == null) {
      moveBaselines(readings);
      arrivals.add(System.nanoTime());
      if (arrivals.size() > RATE_STEPS) {
        arrivals.remove();
      }
    }
  }

  private static double[] readings(Step step) {
    NormColumns norms = step.norms();
    double[] readings = new double[step.firstLayer() + norms.size()];
    Arrays.fill(readings, LayerTrace.MISSING);
    for (int i = 0; i < norms.size(); i++) {
      readings[step.firstLayer() + i] = Math.log(norms.l2()[i]) / LOG_2;
    }
    if (norms.nonFinite() != null) {
      for (int layer : norms.nonFinite().layers()) {
        readings[layer] = LayerTrace.NON_FINITE;
      }
    }
    return readings;
  }

  private void moveBaselines(double[] readings) {
    for (int i = 0; i < Math.min(readings.length, baselines.length); i++) {
      if (Double.isFinite(readings[i])) {
        baselines[i] =
            Double.isNaN(baselines[i])
                ? readings[i]
                : BASELINE_MEMORY * baselines[i] + (1 - BASELINE_MEMORY) * readings[i];
      }
    }
  }

  private synchronized void alert(Alert alert) {
    if (alert.runId().equals(run)) {
      incidents.add(alert);
    }
  }

  private synchronized void deadLetter(ConsumerRecord<byte[], byte[]> record) {
    deadLetters.add(record.partition() + "@" + record.offset());
  }

  /** Number of the last step assembled, -1 before the first. */
  synchronized long lastStep() {
    return steps.isEmpty() ? -1 : steps.lastKey();
  }

  /** How many steps were assembled. */
  synchronized int stepsAssembled() {
    return steps.size();
  }

  /** How fast the last steps came; 0 before the second. */
  synchronized double stepsPerSecond() {
    return arrivals.size() < 2
        ? 0
        : (arrivals.size() - 1) / ((arrivals.getLast() - arrivals.getFirst()) / 1e9);
  }

  /** Mean over the steps assembled of their completeness; NaN before the first. */
  synchronized double meanCompleteness() {
    return steps.values().stream()
        .mapToDouble(Progressed::completeness)
        .average()
        .orElse(Double.NaN);
  }

  /** The latest transition of each incident, in the order of opening. */
  synchronized List<Alert> incidents() {
    return incidents.faults();
  }

  /** The latest transition of each piece of advice, in the order of opening. */
  synchronized List<Alert> advice() {
    return incidents.advice();
  }

  /** The run's first alert that is no advice; null if there is none. */
  synchronized Alert firstAlert() {
    return incidents.opening();
  }

  /** Records in the dead letter topic. */
  synchronized long deadLetters() {
    return deadLetters.size();
  }

  /** The newest step; null before the first. */
  synchronized Step newest() {
    return newest;
  }

  /** The recent norms of each layer, the input's first. */
  synchronized List<LayerTrace> traces() {
    List<LayerTrace> traces = new ArrayList<>();
    for (int i = 0; i < layers.length; i++) {
      int layer = i;
      List<Double> readings =
          recent.values().stream()
              .map(row -> layer < row.length ? row[layer] : LayerTrace.MISSING)
              .toList();
      String name = layers[i] == null ? "layer " + i : layers[i].name();
      String block = layers[i] == null || layers[i].block() == null ? name : layers[i].block();
      traces.add(new LayerTrace(name, block, baselines[i], readings));
    }
    return traces;
  }

  /** Incidents and advice as the view shows them. */
  synchronized List<RunSnapshot.Incident> shownIncidents() {
    return incidents.latest().stream()
        .map(
            alert ->
                new RunSnapshot.Incident(
                    alert.kind().name(),
                    alert.severity().name().toLowerCase(Locale.ROOT),
                    Optional.ofNullable(alert.rootLayer()),
                    alert.openedStep(),
                    alert.resolvedStep() == null
                        ? OptionalLong.empty()
                        : OptionalLong.of(alert.resolvedStep()),
                    alert.message(),
                    Optional.ofNullable(alert.advice()),
                    Optional.ofNullable(alert.context().cause())
                        .map(cause -> cause.name().toLowerCase(Locale.ROOT)),
                    alert.context().account()))
        .toList();
  }

  @Override
  public void close() {
    reader.wakeUp();
    try {
      thread.join(2_000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    reader.close();
  }
}
