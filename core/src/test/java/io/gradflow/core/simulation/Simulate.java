package io.gradflow.core.simulation;

/** The command: see {@link #main}. */
public final class Simulate {
  private Simulate() {}

  public static void main(String[] args) {
    if (args[0].equals("--seed")) {
      System.out.println(
          Simulation.run(Long.parseLong(args[1]), Break.NOTHING, System.out::println));
      return;
    }
    int bad = 0;
    long t = System.nanoTime();
    long events = 0;
    int n = Integer.parseInt(args[1]);
    for (long seed = 0; seed < n; seed++) {
      try {
        Simulation.Outcome outcome = Simulation.run(seed, Break.NOTHING, null);
        events += outcome.events();
        if (outcome.difference() != null && bad++ < 20) {
          System.out.println(seed + ": " + outcome.difference());
        }
      } catch (RuntimeException e) {
        if (bad++ < 5) {
          System.out.println(seed);
          e.printStackTrace(System.out);
        }
      }
    }
    System.out.println(
        bad + " bad " + events + " events " + (System.nanoTime() - t) / 1000000 + " ms");
  }
}
