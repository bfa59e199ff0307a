package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class OutboxTest {
  private static final Duration SOON = Duration.ofSeconds(20);

  private final Outbox<String, String> outbox = new Outbox<>(2);
  private final List<String> taken = new CopyOnWriteArrayList<>();
  private final Thread taker = new Thread(this::takeAll);

  private void takeAll() {
    try {
      for (var entry = outbox.take(); entry != null; entry = outbox.take()) {
        taken.add(entry.shard() == null ? entry.notice() : entry.shard());
      }
    } catch (InterruptedException e) {
      taken.add("interrupted");
    }
  }

  @Test
  void whoHasLookedInVainForLongIsWoken() throws InterruptedException {
    taker.start();
    asleep();
    assertThat(outbox.putShard("first", 1)).isZero();
    await().atMost(SOON).until(() -> taken.equals(List.of("first")));
    assertThat(outbox.putShard("second", 1)).isZero();
    await().atMost(SOON).until(() -> taken.equals(List.of("first", "second")));
    asleep();
    assertThat(outbox.putNotice("event")).isZero();
    await().atMost(SOON).until(() -> taken.size() == 3);
    asleep();
    outbox.close();
    taker.join(SOON.toMillis());
    assertThat(taken).containsExactly("first", "second", "event");
    assertThat(taker.isAlive()).isFalse();
  }

  /** It waits to be woken, no longer for a time. */
  private void asleep() {
    await().atMost(SOON).until(() -> taker.getState() == Thread.State.WAITING);
  }

  @Test
  void theOldestShardsGiveWay() throws InterruptedException {
    assertThat(outbox.putNotice("event")).isZero();
    assertThat(outbox.putShard("a", 1)).isZero();
    assertThat(outbox.putShard("b", 1)).isZero();
    assertThat(outbox.putShard("c", 1)).isEqualTo(1);
    assertThat(outbox.putShard("larger than all the room", 5)).isEqualTo(2);
    outbox.close();
    assertThat(outbox.putShard("late", 1)).isEqualTo(1);
    takeAll();
    assertThat(taken).containsExactly("event", "larger than all the room");
  }
}
