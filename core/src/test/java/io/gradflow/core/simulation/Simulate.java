package io.gradflow.core.simulation;

import java.io.PrintStream;

/**
 * {@code gradflow test simulation}: many seeds against the oracle, what is broken on purpose, or
 * one seed event by event.
 */
public final class Simulate {
  static final int SEEDS = 10_000;

  /** A broken merge must not get further than this. */
  static final int SEEDS_OF_A_BREAK = 1_000;

  private static final int OK = 0;
  private static final int DIFFERENT = 1;
  private static final int USAGE = 2;

  private Simulate() {}

  /**
   * What many seeds came to.
   *
   * @param differences seeds that differed
   */
  record Total(
      long seeds, long events, long crashes, long duplicates, long losses, long differences) {
    static final Total NONE = new Total(0, 0, 0, 0, 0, 0);

    Total and(Simulation.Outcome outcome) {
      return new Total(
          seeds + 1,
          events + outcome.events(),
          crashes + outcome.crashes(),
          duplicates + outcome.duplicates(),
          losses + outcome.losses(),
          differences + (outcome.difference() == null ? 0 : 1));
    }

    String line(double seconds) {
      return "%,d seeds, %,d events, %,d crashes, %,d duplicates, %,d losses, %.1f s, %d differences"
          .formatted(seeds, events, crashes, duplicates, losses, seconds, differences);
    }
  }

  /** The command. Exit codes: 0 no difference, 1 a difference, 2 used wrongly. */
  public static void main(String[] args) {
    System.exit(run(args, System.out, System.err));
  }

  static int run(String[] args, PrintStream out, PrintStream err) {
    if (args.length == 0) {
      boolean caught = breaks(out);
      return seeds(SEEDS, out, err).differences() == 0 && caught ? OK : DIFFERENT;
    }
    boolean isOne = args[0].equals("--seed");
    if (args.length != 2
        || !(isOne || args[0].equals("--seeds"))
        || !args[1].matches(isOne ? "\\d{1,18}" : "[1-9]\\d{0,8}")) {
      err.println(
          "gradflow: test simulation expected nothing, --seed N or --seeds N, got: "
              + String.join(" ", args));
      return USAGE;
    }
    return isOne
        ? one(Long.parseLong(args[1]), out)
        : seeds(Integer.parseInt(args[1]), out, err).differences() == 0 ? OK : DIFFERENT;
  }

  /** One seed, event by event. */
  private static int one(long seed, PrintStream out) {
    long started = System.nanoTime();
    Simulation.Outcome outcome = Simulation.run(seed, Break.NOTHING, out::println);
    if (outcome.difference() != null) {
      out.println("seed " + seed + ": " + outcome.difference());
    }
    out.println(Total.NONE.and(outcome).line(secondsSince(started)));
    return outcome.difference() == null ? OK : DIFFERENT;
  }

  /** The seeds from 0 on. Says of each that differs how, and how to replay it. */
  static Total seeds(int seeds, PrintStream out, PrintStream err) {
    long started = System.nanoTime();
    long said = started;
    Total total = Total.NONE;
    for (long seed = 0; seed < seeds; seed++) {
      Simulation.Outcome outcome = Simulation.run(seed, Break.NOTHING, null);
      total = total.and(outcome);
      if (outcome.difference() != null) {
        out.println("seed " + seed + ": " + outcome.difference());
        out.println("  replay it: ./gradflow test simulation --seed " + seed);
      }
      if (secondsSince(said) > 5) {
        said = System.nanoTime();
        err.println("simulation: " + total.line(secondsSince(started)));
      }
    }
    out.println(total.line(secondsSince(started)));
    return total;
  }

  private static double secondsSince(long nanos) {
    return (System.nanoTime() - nanos) / 1e9;
  }

  /** Everything that is broken on purpose; true if all of it is caught. */
  private static boolean breaks(PrintStream out) {
    boolean caught = true;
    for (Break broken : Break.values()) {
      caught &= broken == Break.NOTHING || seedsToCatch(broken, out) <= SEEDS_OF_A_BREAK;
    }
    return caught;
  }

  /** How many seeds it takes to see that something is broken. */
  static int seedsToCatch(Break broken, PrintStream out) {
    for (int seed = 0; seed < SEEDS_OF_A_BREAK; seed++) {
      String difference = Simulation.run(seed, broken, null).difference();
      if (difference != null) {
        out.printf("%s is caught by seed %d: %s%n", broken, seed, difference);
        return seed + 1;
      }
    }
    out.printf("%s is not caught by %d seeds%n", broken, SEEDS_OF_A_BREAK);
    return Integer.MAX_VALUE;
  }
}
