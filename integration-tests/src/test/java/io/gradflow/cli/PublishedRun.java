package io.gradflow.cli;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.signal.Octaves;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What the jobs would publish of runs whose every norm is known: layer l of step s has 1 + s. */
final class PublishedRun implements AutoCloseable {
  private final KafkaProducer<byte[], byte[]> producer;
  private final String run;
  private final Manifest manifest;

  PublishedRun(String bootstrapServers, String run, int layers) {
    this(bootstrapServers, run, manifest(run, layers, "layer.", null));
  }

  /** What is published of one stage of a pipeline, which two ranks of its own report. */
  static PublishedRun stage(String bootstrapServers, String run, int stage, int layers) {
    int[] ranks = {2 * stage, 2 * stage + 1};
    return new PublishedRun(
        bootstrapServers, run, manifest(run, layers, "stage" + stage + ".layer.", ranks));
  }

  private PublishedRun(String bootstrapServers, String run, Manifest manifest) {
    this.producer =
        new KafkaProducer<>(
            Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ProducerConfig.LINGER_MS_CONFIG,
                5),
            new ByteArraySerializer(),
            new ByteArraySerializer());
    this.run = run;
    this.manifest = manifest;
  }

  private static Manifest manifest(String run, int layers, String names, int[] ranks) {
    return new Manifest(
            run,
            1,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            layers,
            2,
            List.of(new MeshAxis("dp_replicate", 2)),
            List.of(new Reporting(Stage.REDUCED, ranks, 1)),
            "mean",
            "float32",
            null,
            null,
            "AdamW",
            null,
            IntStream.range(0, layers)
                .mapToObj(
                    i ->
                        new Layer(
                            names + i + "</script>",
                            null,
                            i,
                            LayerKind.WEIGHT,
                            100,
                            "float32",
                            true,
                            false,
                            false,
                            null,
                            List.of(Placement.REPLICATE)))
                .toList())
        .identified();
  }

  PublishedRun begin() {
    publish(Codecs.MANIFESTS, manifest);
    return this;
  }

  PublishedRun steps(long attempt, long from, long to) {
    for (long step = from; step <= to; step++) {
      publish(Codecs.STEPS, step(attempt, step, 2));
    }
    return this;
  }

  /** A step in which the elements of every layer are in these octaves. */
  PublishedRun histogram(long number, Octaves octaves) {
    List<Octaves> layers = Collections.nCopies(manifest.layerCount(), octaves);
    return publish(
        Codecs.STEPS,
        step(
            1,
            number,
            2,
            new StepSignals(
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                Histograms.of(layers),
                null,
                null)));
  }

  Step step(long attempt, long number, long revision) {
    return step(attempt, number, revision, null);
  }

  private Step step(long attempt, long number, long revision, StepSignals signals) {
    int layers = manifest.layerCount();
    double[] norms = new double[layers];
    Arrays.fill(norms, 1.0 + number);
    return new Step(
        new StepId(run, attempt, StepId.MAIN_STREAM, number),
        manifest.manifestId(),
        0,
        1,
        0,
        revision,
        ClosedBy.COMPLETE,
        false,
        1,
        2,
        new int[0],
        new int[0],
        null,
        null,
        Math.sqrt(layers) * (1 + number),
        new NormColumns(null, norms, norms, norms, norms, null, null, null, null),
        null,
        new StepScalars(0.5, null, new double[] {0.1}, null, false, null, null, 32),
        List.of(),
        signals);
  }

  PublishedRun alert(String incidentId, int transition, Alert.State state) {
    publish(
        Codecs.ALERTS,
        new Alert(
            incidentId + "/" + transition,
            incidentId,
            transition,
            run,
            1,
            StepId.MAIN_STREAM,
            state,
            FindingKind.NON_FINITE,
            Severity.CRITICAL,
            3,
            4,
            3,
            null,
            "layer.0</script>",
            1,
            "node-1",
            null,
            List.of(),
            List.of(),
            null,
            "Layer 0 is not finite.",
            null,
            List.of(),
            0.9,
            0,
            false,
            1,
            Alert.Context.NONE));
    return this;
  }

  <T> PublishedRun publish(Codec<T> codec, T value) {
    for (Encoded record : codec.encode(value)) {
      send(codec.topic().topicName(), record.key(), record.value());
    }
    return this;
  }

  void send(String topic, byte[] key, byte[] value) {
    // What cannot be sent fails whoever waits for it to arrive.
    var unused = producer.send(new ProducerRecord<>(topic, key, value));
  }

  PublishedRun flush() {
    producer.flush();
    return this;
  }

  @Override
  public void close() {
    producer.close();
  }
}
