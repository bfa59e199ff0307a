package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Trainings whose shards are lost, repeated, falsified and interleaved, against a plain oracle. */
class DisorderTest {
  private static final int STEPS = 30;

  @Test
  void whatComesInIsAccountedForAndPublishedRight() {
    for (int seed = 0; seed < 300; seed++) {
      simulate(seed);
    }
  }

  private static void simulate(int seed) {
    Random random = new Random(seed);
    int ranks = 1 + random.nextInt(seed % 10 == 0 ? 90 : 6);
    boolean local = random.nextBoolean();
    TestRun run =
        local
            ? TestRun.replicas(
                ranks,
                2,
                new Reporting(Stage.LOCAL, null, 1),
                new Reporting(Stage.REDUCED, null, 1))
            : TestRun.replicas(ranks, 2);
    double lossRate = random.nextBoolean() ? 0 : 0.05;
    double repeatRate = random.nextDouble() * 0.1;
    List<Deque<Shard>> partitions = new ArrayList<>();
    Map<Long, Integer> sent = new HashMap<>();
    long total = 0;
    for (int rank = 0; rank < ranks; rank++) {
      Deque<Shard> partition = new ArrayDeque<>();
      for (long step = 0; step < STEPS; step++) {
        for (Stage stage : local ? Stage.values() : new Stage[] {Stage.REDUCED}) {
          if (random.nextDouble() < lossRate) {
            continue;
          }
          float value = (float) Math.exp((step % 7) - 3.0);
          Shard shard = run.aShard().step(step).rank(rank).stage(stage).filledWith(value).build();
          partition.add(shard);
          sent.merge(step, 1, Integer::sum);
          if (random.nextDouble() < repeatRate) {
            partition.add(shard);
          }
          if (random.nextDouble() < repeatRate / 4) {
            partition.add(run.aShard().step(step).rank(rank).stage(stage).filledWith(99).build());
          }
          if (random.nextDouble() < repeatRate / 4) {
            partition.add(run.aShard().step(step).rank(rank).stage(stage).part(9, 9).build());
          }
        }
      }
      total += partition.size();
      partitions.add(partition);
    }
    Merging merging = new Merging(run);
    boolean early = random.nextBoolean();
    if (early) {
      merging.manifested();
    }
    while (partitions.stream().anyMatch(p -> !p.isEmpty())) {
      Deque<Shard> partition = partitions.get(random.nextInt(ranks));
      for (int burst = random.nextInt(20); burst > 0 && !partition.isEmpty(); burst--) {
        merging.send(partition.poll());
      }
      merging.pass(random.nextInt(300));
      if (!early && random.nextInt(20) == 0) {
        early = true;
        merging.manifested();
      }
      law(merging);
    }
    if (!early) {
      merging.manifested();
    }
    merging.end();
    law(merging);
    assertThat(merging.fate(ShardFate.RECEIVED)).isEqualTo(total);
    assertThat(merging.retained()).isZero();
    oracle(run, merging, sent, local ? 2 * ranks : ranks, lossRate == 0, seed);
  }

  private static void law(Merging merging) {
    assertThat(merging.fate(ShardFate.RECEIVED))
        .isEqualTo(
            merging.fate(ShardFate.MERGED)
                + merging.fate(ShardFate.DUPLICATE)
                + merging.fate(ShardFate.CONFLICT)
                + merging.fate(ShardFate.LATE)
                + merging.fate(ShardFate.REJECTED)
                + merging.held());
  }

  private static void oracle(
      TestRun run, Merging merging, Map<Long, Integer> sent, int due, boolean lossless, int seed) {
    Map<Long, Step> latest = new HashMap<>();
    long previous = -1;
    for (Step step : merging.steps) {
      Step before = latest.put(step.id().step(), step);
      if (before != null) {
        assertThat(step.revision()).isGreaterThan(before.revision());
      } else if (!step.late()) {
        assertThat(step.id().step()).as("order, seed %d", seed).isGreaterThan(previous);
        previous = step.id().step();
      }
    }
    for (var expected : sent.entrySet()) {
      Step step = latest.get(expected.getKey());
      assertThat(step).as("step %d, seed %d", expected.getKey(), seed).isNotNull();
      assertThat(step.revision()).isEqualTo((long) expected.getValue());
      assertThat(step.completeness()).isCloseTo(expected.getValue() / (double) due, within(1e-12));
      double value = (float) Math.exp((expected.getKey() % 7) - 3.0);
      for (int layer = 0; layer < run.manifest().layerCount(); layer++) {
        double l2 = step.norms().l2()[layer];
        if (lossless || !Double.isNaN(l2)) {
          assertThat(l2).isCloseTo(2 * value, within(1e-6 * value));
        }
      }
    }
    assertThat(latest).hasSameSizeAs(sent);
  }
}
