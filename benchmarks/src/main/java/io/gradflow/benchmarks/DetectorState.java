package io.gradflow.benchmarks;

import io.gradflow.core.detect.RunTrends;
import io.gradflow.operators.types.RecordTypes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.core.memory.DataOutputSerializer;

/**
 * What the detectors of AlertJob remember of a run, in bytes as a checkpoint has them: it grows
 * with the layers, not with the steps.
 *
 * @param perLayer bytes of each layer
 * @param perRun bytes that do not depend on the layers
 */
record DetectorState(double perLayer, double perRun) {
  /** By which it is asked for. */
  static final String NAME = "state";

  private static final int FEW = 1_137;
  private static final int MANY = 20_000;
  private static final int STEPS = 200;

  /** Measured on runs of two sizes that publish everything; the same figures each time. */
  static DetectorState measured() {
    double few = bytes(FEW, STEPS);
    double perLayer = (bytes(MANY, STEPS) - few) / (MANY - FEW);
    return new DetectorState(perLayer, few - FEW * perLayer);
  }

  /** Of a run of so many layers after so many steps. */
  static double bytes(int layers, int steps) {
    JudgedRun run = new JudgedRun(layers, SignalSet.ALL, true);
    for (int step = 0; step < steps; step++) {
      run.judge();
    }
    DataOutputSerializer target = new DataOutputSerializer(1 << 20);
    try {
      RecordTypes.of(RunTrends.class)
          .createSerializer(new SerializerConfigImpl())
          .serialize(run.trends(), target);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return target.length();
  }

  @Override
  public String toString() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(List.of("of each layer", "of the run", "at 1,137 layers", "at 20,000 layers"));
    List<String> line = new ArrayList<>();
    for (double bytes : new double[] {perLayer, perRun, at(FEW), at(MANY)}) {
      line.add("%,.0f".formatted(bytes));
    }
    lines.add(line);
    return NAME + ", bytes\n" + Table.aligned(lines);
  }

  private double at(int layers) {
    return perRun + layers * perLayer;
  }
}
