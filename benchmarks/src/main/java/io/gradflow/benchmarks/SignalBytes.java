package io.gradflow.benchmarks;

import io.gradflow.core.Store;
import io.gradflow.core.norm.HeldShard;
import io.gradflow.core.norm.LaneSignals;
import io.gradflow.core.norm.RunStep;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowRow;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.training.TrainingPolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.core.memory.DataOutputSerializer;

/**
 * Bytes per layer that each group of signals adds to each record and state it gets into, measured:
 * a real training is published with and without the group, encoded and serialized as jobs do it.
 */
final class SignalBytes {
  /** By which it is asked for. */
  static final String NAME = "bytes";

  private static final int MISSING_RANK = 3;

  /** 130 layers, half of them matrices of 4,096 elements and half biases of 64; 4 ranks. */
  private static final TrainingPolicy TRAINING =
      TrainingPolicy.ofSeed(7).withNetwork(64, 64).withSteps(40);

  /** What is measured, on the wire and in state. */
  enum Place {
    SHARD_LOCAL("shard LOCAL"),
    SHARD_REDUCED("shard REDUCED"),
    STEP("step"),
    WINDOW("window"),
    HELD_LOCAL("held LOCAL"),
    HELD_REDUCED("held REDUCED"),
    INCOMPLETE_STEP("incomplete step"),
    LANE("lane"),
    WINDOW_ROW("window row");

    private final String words;

    Place(String words) {
      this.words = words;
    }
  }

  private final Map<SignalSet, Map<Place, Double>> rows = new EnumMap<>(SignalSet.class);

  private SignalBytes() {}

  /** Measures all of it; the same figures each time. */
  static SignalBytes measured() throws InterruptedException {
    Publication all = Publication.ofTraining(TRAINING);
    SignalBytes bytes = new SignalBytes();
    Map<Place, Double> norms = bytesOf(all.with(SignalSet.NORMS));
    bytes.rows.put(SignalSet.NORMS, norms);
    for (SignalSet signals : SignalSet.values()) {
      if (signals != SignalSet.NORMS) {
        bytes.rows.put(signals, difference(bytesOf(all.with(signals)), norms));
      }
    }
    return bytes;
  }

  /** Bytes per layer: of norms all there are, of any other set what it adds. */
  Map<Place, Double> row(SignalSet signals) {
    return rows.get(signals);
  }

  private static Map<Place, Double> difference(Map<Place, Double> with, Map<Place, Double> less) {
    Map<Place, Double> difference = new EnumMap<>(Place.class);
    with.forEach((place, bytes) -> difference.put(place, bytes - less.get(place)));
    return difference;
  }

  private static Map<Place, Double> bytesOf(Publication publication) {
    Map<Place, Double> bytes = new EnumMap<>(Place.class);
    int layers = publication.manifest().layerCount();
    for (Stage stage : Stage.values()) {
      List<Shard> shards =
          publication.shards().stream().filter(shard -> shard.stage() == stage).toList();
      if (!shards.isEmpty()) {
        boolean local = stage == Stage.LOCAL;
        List<HeldShard> held = shards.stream().map(shard -> new HeldShard(0, shard)).toList();
        bytes.put(
            local ? Place.SHARD_LOCAL : Place.SHARD_REDUCED,
            encoded(Codecs.SHARDS, shards) / layers);
        bytes.put(
            local ? Place.HELD_LOCAL : Place.HELD_REDUCED,
            serialized(HeldShard.class, held) / layers);
      }
    }
    List<Step> steps = new ArrayList<>();
    List<LayerWindow> windows = new ArrayList<>();
    NormMachines machines = new NormMachines(publication.manifest(), steps::add, windows::add);
    publication.shards().forEach(machines::shard);
    steps.forEach(machines::roll);
    machines.publishWindow();
    bytes.put(Place.STEP, encoded(Codecs.STEPS, steps) / layers);
    bytes.put(Place.WINDOW, encoded(Codecs.WINDOWS, windows));
    List<WindowRow> kept = all(machines.windowing().rows());
    bytes.put(Place.WINDOW_ROW, serialized(WindowRow.class, kept) / layers);
    List<LaneSignals> lanes = all(machines.assembling().signals());
    bytes.put(Place.LANE, (serialized(LaneSignals.class, lanes) - ofRun(lanes.get(0))) / layers);
    bytes.put(
        Place.INCOMPLETE_STEP, serialized(RunStep.class, incompleteSteps(publication)) / layers);
    return bytes;
  }

  /** Of what a lane remembers, the part that does not depend on layers: past global norms. */
  private static double ofRun(LaneSignals lane) {
    return (double) Double.BYTES * lane.clips().recent().length
        + (double) Integer.BYTES * lane.clips().autoClip().counts().length;
  }

  private static List<RunStep> incompleteSteps(Publication publication) {
    NormMachines machines = new NormMachines(publication.manifest(), step -> {}, window -> {});
    publication.shards().stream()
        .filter(shard -> shard.rank() != MISSING_RANK)
        .forEach(machines::shard);
    machines.closeSteps();
    return all(machines.assembling().steps());
  }

  private static <K, V> List<V> all(Store<K, V> store) {
    List<V> values = new ArrayList<>();
    store.keys().forEach(key -> values.add(store.get(key)));
    return values;
  }

  /** Mean bytes of the values' records. */
  private static <T> double encoded(Codec<T> codec, List<T> values) {
    return values.stream()
        .mapToLong(
            value -> codec.encode(value).stream().mapToLong(record -> record.value().length).sum())
        .average()
        .orElseThrow();
  }

  /** Mean bytes of the values in state. */
  private static <T> double serialized(Class<T> type, List<T> values) {
    TypeSerializer<T> serializer =
        RecordTypes.of(type).createSerializer(new SerializerConfigImpl());
    DataOutputSerializer target = new DataOutputSerializer(1 << 16);
    try {
      for (T value : values) {
        serializer.serialize(value, target);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return (double) target.length() / values.size();
  }

  @Override
  public String toString() {
    List<List<String>> lines = new ArrayList<>();
    List<String> head = new ArrayList<>(List.of("signals"));
    for (Place place : Place.values()) {
      head.add(place.words);
    }
    lines.add(head);
    rows.forEach(
        (signals, bytes) -> {
          List<String> line = new ArrayList<>(List.of(signals.word()));
          bytes.values().forEach(value -> line.add("%.1f".formatted(value)));
          lines.add(line);
        });
    return NAME + ", per layer\n" + Table.aligned(lines);
  }
}
