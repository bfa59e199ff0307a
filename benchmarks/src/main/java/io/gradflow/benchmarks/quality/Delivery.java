package io.gradflow.benchmarks.quality;

import io.gradflow.benchmarks.NormMachines;
import io.gradflow.core.shard.Shard;
import java.util.Arrays;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.SplittableRandom;

/**
 * How shards get from the ranks to NormJob. Two thirds of the runs suffer nothing. In the others
 * one thing, drawn from the seed, goes wrong now and then, never so much that it is a fault: what
 * one rank sends keeps its order, but for single late shards.
 */
final class Delivery {
  /** What can go wrong. */
  private enum Trouble {
    /** Every shard is up to 3 s under way. */
    SHUFFLED,
    /** One shard in 20 comes twice, the second within 5 s. */
    DUPLICATED,
    /** Now and then all that a rank sends is held for up to 8 s, or one shard for up to 30 s. */
    LATE,
    /** One shard in 100 is lost, of a rank at most one in 6 steps. */
    MISSING
  }

  /** After the end, longer than anything waits. */
  private static final long END_MS = 120_000;

  private static final long FAR_APART = 6;

  private final SplittableRandom random;
  private final Trouble trouble;
  private final NormMachines machines;
  private final PriorityQueue<Sent> underWay =
      new PriorityQueue<>(
          Comparator.comparingLong(Sent::arrivesAt).thenComparingLong(Sent::number));
  private final long[] lastArrival;
  private final long[] heldUntil;
  private final long[] sickStep;
  private long number;
  private long now;

  private record Sent(long arrivesAt, long number, Shard shard) {}

  /**
   * @param missing whether shards may be lost
   */
  Delivery(SplittableRandom random, int ranks, boolean missing, NormMachines machines) {
    this.random = random;
    this.machines = machines;
    Trouble[] troubles = Trouble.values();
    int drawn = random.nextInt(3 * troubles.length);
    Trouble some = drawn < troubles.length ? troubles[drawn] : null;
    trouble = some == Trouble.MISSING && !missing ? Trouble.SHUFFLED : some;
    lastArrival = new long[ranks];
    heldUntil = new long[ranks];
    sickStep = new long[ranks];
    Arrays.fill(sickStep, -FAR_APART);
  }

  /** For people; null: nothing goes wrong. */
  String overlay() {
    return trouble == null ? null : trouble.name().toLowerCase(java.util.Locale.ROOT);
  }

  /** Time goes on, and what has arrived by then is taken in. */
  void advance(long ms) {
    while (!underWay.isEmpty() && underWay.peek().arrivesAt() <= ms) {
      Sent sent = underWay.poll();
      machines.advance(sent.arrivesAt());
      machines.shard(sent.shard());
    }
    machines.advance(ms);
    now = ms;
  }

  /** A rank sends a shard. */
  void send(Shard shard) {
    int rank = shard.rank();
    long step = shard.id().step();
    long arrival = now;
    if (trouble == Trouble.SHUFFLED) {
      arrival += random.nextLong(3_000);
    } else if (trouble == Trouble.LATE) {
      if (random.nextInt(400) == 0) {
        heldUntil[rank] = now + random.nextLong(8_000);
      } else if (random.nextInt(400) == 0 && isAlone(rank, step)) {
        put(now + 10_000 + random.nextLong(20_000), shard);
        return;
      }
      arrival = Math.max(arrival, heldUntil[rank]);
    } else if (trouble == Trouble.MISSING && random.nextInt(100) == 0 && isAlone(rank, step)) {
      return;
    }
    arrival = Math.max(arrival, lastArrival[rank]);
    lastArrival[rank] = arrival;
    put(arrival, shard);
    if (trouble == Trouble.DUPLICATED && random.nextInt(20) == 0) {
      put(arrival + random.nextLong(5_000), shard);
    }
  }

  private boolean isAlone(int rank, long step) {
    boolean alone = Math.abs(step - sickStep[rank]) >= FAR_APART;
    if (alone) {
      sickStep[rank] = step;
    }
    return alone;
  }

  private void put(long arrival, Shard shard) {
    underWay.add(new Sent(arrival, number++, shard));
  }

  /** All that is under way arrives. */
  void end() {
    advance(now + END_MS);
  }
}
