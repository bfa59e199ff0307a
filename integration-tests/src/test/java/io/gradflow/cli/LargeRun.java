package io.gradflow.cli;

import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The assembled steps of a run of many layers, as NormJob would publish them: drawn, not trained.
 */
final class LargeRun implements AutoCloseable {
  private static final int ELEMENTS = 4096;
  private static final int LAYERS_PER_BLOCK = 9;

  private final Manifest manifest;
  private final Random random = new Random(1);
  private final double[] octaves;
  private final KafkaProducer<byte[], byte[]> producer;
  private long next;

  /** Publishes what the run is made of. */
  LargeRun(String bootstrapServers, String run, int layers) {
    this.manifest = manifest(run, layers);
    this.octaves = random.doubles(layers, -10, -4).toArray();
    this.producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", bootstrapServers, "linger.ms", 0, "batch.size", 1 << 20),
            new ByteArraySerializer(),
            new ByteArraySerializer());
    send(Codecs.MANIFESTS, manifest);
  }

  private static Manifest manifest(String run, int layers) {
    List<Layer> described = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      String block = "decoder." + i / LAYERS_PER_BLOCK;
      described.add(
          new Layer(
              block + ".weight" + i % LAYERS_PER_BLOCK,
              block,
              i,
              LayerKind.WEIGHT,
              ELEMENTS,
              "bfloat16",
              true,
              false,
              false,
              null,
              List.of(Placement.REPLICATE)));
    }
    return new Manifest(
            run,
            1,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            layers,
            1,
            List.of(new MeshAxis("dp_replicate", 1)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "bfloat16",
            null,
            null,
            "adamw",
            null,
            described)
        .identified();
  }

  /** Number of the step that comes next. */
  long next() {
    return next;
  }

  /** Publishes the next steps, and returns when the broker has them. */
  void publish(long steps) {
    for (long i = 0; i < steps; i++) {
      publish();
    }
    producer.flush();
  }

  /** Publishes the next step; does not wait. */
  void publish() {
    send(Codecs.STEPS, draw(next++));
  }

  private Step draw(long number) {
    int layers = octaves.length;
    double[] l2 = new double[layers];
    double[] linf = new double[layers];
    double[] rms = new double[layers];
    double squares = 0;
    for (int i = 0; i < layers; i++) {
      octaves[i] += 0.02 * random.nextGaussian() - 0.002 * (octaves[i] + 7);
      rms[i] = Math.pow(2, octaves[i] + 0.1 * random.nextGaussian());
      l2[i] = rms[i] * Math.sqrt(ELEMENTS);
      linf[i] = 4 * rms[i];
      squares += l2[i] * l2[i];
    }
    long now = System.currentTimeMillis();
    return new Step(
        new StepId(manifest.runId(), 1, StepId.MAIN_STREAM, number),
        manifest.manifestId(),
        0,
        1,
        0,
        1,
        ClosedBy.COMPLETE,
        false,
        1,
        1,
        new int[0],
        new int[0],
        null,
        null,
        Math.sqrt(squares),
        new NormColumns(null, l2, linf, rms, l2, null, null, null, null),
        new RankEvidence(
            new int[] {0},
            new double[] {Double.NaN},
            new long[1],
            new long[1],
            0,
            new int[0],
            new float[0],
            null,
            null,
            null,
            null,
            null,
            null,
            now,
            null,
            null),
        new StepScalars(
            2 + Math.exp(-number / 2000.0),
            null,
            new double[] {3e-4},
            null,
            false,
            null,
            Math.sqrt(squares),
            32),
        List.of(),
        null);
  }

  private <T> void send(Codec<T> codec, T value) {
    for (Encoded record : codec.encode(value)) {
      var unused =
          producer.send(
              new ProducerRecord<>(codec.topic().topicName(), record.key(), record.value()));
    }
  }

  @Override
  public void close() {
    producer.close();
  }
}
