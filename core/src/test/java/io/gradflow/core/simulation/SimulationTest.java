package io.gradflow.core.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class SimulationTest {
  @Test
  void seeds() {
    int bad = 0;
    long t = System.nanoTime();
    long events = 0;
    int n = Integer.getInteger("n", 1000);
    for (long seed = 0; seed < n; seed++) {
      try {
        Simulation.Outcome outcome = Simulation.run(seed, Break.NOTHING, null);
        events += outcome.events();
        if (outcome.difference() != null && bad++ < 20) {
          System.out.println(seed + ": " + outcome.difference());
        }
      } catch (RuntimeException e) {
        if (bad++ < 20) {
          System.out.println(seed);
          e.printStackTrace(System.out);
        }
      }
    }
    System.out.println(
        bad + " bad " + events + " events " + (System.nanoTime() - t) / 1000000 + " ms");
    assertThat(bad).isZero();
  }
}
