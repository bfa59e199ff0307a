package io.gradflow.cli;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.utils.Utils;

/**
 * What the savepoints of a release know of, record by record the same whenever it is asked for: a
 * run of four ranks, one of which publishes raw values, cut in its step {@value #CUT}; and a run
 * whose shard comes before its manifest.
 */
final class ReleasedRuns {
  private static final String RUN = "released";
  private static final String EARLY = "shards-before-manifest";
  private static final int RANKS = 4;
  private static final int RAW_RANK = 1;
  private static final int LAST_RANK = 3;
  private static final int STEPS = 60;
  private static final int CUT = 30;
  private static final int SICK = 24;
  private static final int SICK_RANK = 2;
  private static final int LAYERS = 3;
  private static final int ELEMENTS = 8;

  private final int partitions;

  ReleasedRuns(int partitions) {
    this.partitions = partitions;
  }

  /** Steps that both runs have. */
  int steps() {
    return STEPS + 1;
  }

  /** Steps that are whole before the cut. */
  int stepsBefore() {
    return CUT;
  }

  /** Windows that close. */
  int windows() {
    return LAYERS * 2;
  }

  /** Up to the cut: its step lacks a rank. */
  List<ProducerRecord<byte[], byte[]>> before() {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    add(
        records,
        Codecs.RULES,
        new Rule("*", FindingKind.EXPLODING_SPIKE, 7, Rule.Mode.OFF, Map.of()));
    add(records, Codecs.MANIFESTS, manifest(RUN, RANKS));
    add(records, Codecs.RUNS, event(RUN, RunEvent.Type.STARTED, -1));
    for (int step = 0; step < CUT; step++) {
      for (int rank = 0; rank < RANKS; rank++) {
        add(records, step, rank);
      }
    }
    for (int rank = 0; rank < LAST_RANK; rank++) {
      add(records, CUT, rank);
    }
    add(records, Codecs.SHARDS, shard(EARLY, 1, 0, 0, Stage.REDUCED));
    return records;
  }

  /** From the cut on: what was lacking, something that came before, and the rest. */
  List<ProducerRecord<byte[], byte[]>> after() {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    add(records, CUT - 1, 0);
    add(records, CUT, LAST_RANK);
    for (int step = CUT + 1; step < STEPS; step++) {
      for (int rank = 0; rank < RANKS; rank++) {
        add(records, step, rank);
      }
    }
    add(records, Codecs.MANIFESTS, manifest(EARLY, 1));
    add(records, Codecs.RUNS, event(RUN, RunEvent.Type.FINISHED, STEPS - 1));
    add(records, Codecs.RUNS, event(EARLY, RunEvent.Type.FINISHED, 0));
    return records;
  }

  private void add(List<ProducerRecord<byte[], byte[]>> records, int step, int rank) {
    if (rank == RAW_RANK) {
      for (int layer = 0; layer < LAYERS; layer++) {
        add(records, Codecs.BLOCKS, block(step, layer, Stage.LOCAL));
        add(records, Codecs.BLOCKS, block(step, layer, Stage.REDUCED));
      }
    } else {
      add(records, Codecs.SHARDS, shard(RUN, RANKS, step, rank, Stage.LOCAL));
      add(records, Codecs.SHARDS, shard(RUN, RANKS, step, rank, Stage.REDUCED));
    }
  }

  /** Each record has its partition, so that offsets are the same on every broker. */
  private <T> void add(List<ProducerRecord<byte[], byte[]>> records, Codec<T> codec, T value) {
    for (Encoded record : codec.encode(value)) {
      int partition =
          codec.topic().partitions() == 1
              ? 0
              : Utils.toPositive(Utils.murmur2(record.key())) % partitions;
      records.add(
          new ProducerRecord<>(codec.topic().topicName(), partition, record.key(), record.value()));
    }
  }

  private static Manifest manifest(String run, int ranks) {
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < LAYERS; i++) {
      layers.add(
          new Layer(
              "block." + i + ".weight",
              "block." + i,
              i,
              LayerKind.WEIGHT,
              ELEMENTS,
              "float32",
              true,
              false,
              false,
              null,
              List.of(Placement.REPLICATE)));
    }
    return new Manifest(
            run,
            1_000,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            LAYERS,
            ranks,
            List.of(new MeshAxis("dp_replicate", ranks)),
            ranks == 1
                ? List.of(new Reporting(Stage.REDUCED, null, 1))
                : List.of(
                    new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32",
            null,
            null,
            null,
            null,
            layers)
        .identified();
  }

  private static RunEvent event(String run, RunEvent.Type type, long step) {
    return new RunEvent(run, 1_000, StepId.MAIN_STREAM, step, type, 0, Map.of());
  }

  private static Shard shard(String run, int ranks, int step, int rank, Stage stage) {
    float[][] gradient = new float[LAYERS][];
    for (int layer = 0; layer < LAYERS; layer++) {
      gradient[layer] = gradient(step, rank, layer, stage);
    }
    return header(run, ranks, step, rank, stage).part(0, 1, Measurement.of(gradient));
  }

  private static Block block(int step, int layer, Stage stage) {
    float[] gradient = gradient(step, RAW_RANK, layer, stage);
    ByteBuffer values =
        ByteBuffer.allocate(Float.BYTES * gradient.length).order(ByteOrder.LITTLE_ENDIAN);
    values.asFloatBuffer().put(gradient);
    return new Block(
        header(RUN, RANKS, step, RAW_RANK, stage).part(layer, LAYERS, null),
        layer,
        0,
        null,
        gradient.length,
        Dtype.FLOAT32,
        values.array(),
        Block.Purpose.MEASURE,
        null);
  }

  private static Shard header(String run, int ranks, int step, int rank, Stage stage) {
    return new Shard(
        new StepId(run, 1_000, StepId.MAIN_STREAM, step),
        rank,
        new int[] {rank},
        0,
        1,
        manifest(run, ranks).manifestId(),
        stage,
        step - 1,
        0,
        1,
        0,
        0,
        0,
        32,
        null,
        false,
        null,
        null,
        2.0,
        null,
        null,
        null,
        null,
        null,
        null);
  }

  /** NaN in the middle layer, computed by one rank, reduced to all; and from there to the input. */
  private static float[] gradient(int step, int rank, int layer, Stage stage) {
    Random random = new Random(31L * step + layer + (stage == Stage.LOCAL ? 1_009L * rank : 0));
    float[] values = new float[ELEMENTS];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    boolean sick = step == SICK && layer <= 1 && (stage == Stage.REDUCED || rank == SICK_RANK);
    if (sick) {
      Arrays.fill(values, 0, 2, Float.NaN);
    }
    return values;
  }
}
