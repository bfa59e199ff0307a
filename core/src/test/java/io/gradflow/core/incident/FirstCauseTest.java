package io.gradflow.core.incident;

import io.gradflow.core.detect.SimulatedRun;
import io.gradflow.core.shard.RunEvent;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FirstCauseTest {
  static void dump(String n, SimulatedRun run) {
    System.out.println("== " + n);
    for (Alert a : run.alerts())
      System.out.println(
          a.state()
              + " "
              + a.kind()
              + " "
              + a.rootLayer()
              + " "
              + a.onsetStep()
              + " conf "
              + a.confidence()
              + "\n   "
              + a.context()
              + "\n   "
              + a.message());
  }

  @Test
  void dump() {
    dump(
        "rate",
        new SimulatedRun(1, 0.2)
            .steps(60, s -> s.rate(0.1).loss(2.0))
            .steps(1, s -> s.rate(0.1).event(RunEvent.Type.CHECKPOINT, Map.of()))
            .steps(19, s -> s.rate(0.1).loss(2.0))
            .steps(1, s -> s.rate(6).loss(2.0))
            .steps(4, s -> s.rate(6).loss(5.0).raise("block7.weight", 6))
            .steps(12, s -> s.rate(6).loss(25.0).raiseAll(8))
            .steps(5, s -> s.rate(6).loss(Double.NaN).nan(0, "block7.weight", "block6.weight"))
            .steps(60, s -> s.rate(0.1).dead("block1.weight").loss(9.0)));
    dump(
        "batch",
        new SimulatedRun(1, 0.2)
            .steps(80, s -> s.rate(0.1))
            .steps(1, s -> s.rate(.1).raiseAll(5))
            .steps(60, s -> s.rate(0.1)));
    dump(
        "nan",
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(1, s -> s.nan(2, "block5.weight", "block4.weight"))
            .healthy(60));
    dump("missing", new SimulatedRun(1, 0.2).healthy(50).steps(5, s -> s.missing(3)).healthy(60));
    dump(
        "skips",
        new SimulatedRun(1, 0.2)
            .steps(50, s -> s.scaled(65536, 3, 0, 65536))
            .steps(6, s -> s.skipped())
            .healthy(60));
    double[] up = {0};
    dump(
        "trend",
        new SimulatedRun(1, 0.2)
            .healthy(60)
            .steps(120, s -> s.raise("block3.weight", up[0] += 0.05))
            .healthy(60));
    dump(
        "contract",
        new SimulatedRun(1, 0.2).healthy(60).steps(2, s -> s.contradicting(1)).healthy(60));
  }
}
