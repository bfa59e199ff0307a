package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.RankGroup;
import org.junit.jupiter.api.Test;

class RoomTest {
  private final Room room = new Room(new Limits(2, 100, 1_000));

  private static RankGroup group(String run, int group) {
    return new RankGroup(run, group);
  }

  @Test
  void groupsOfOneRunAreOneRun() {
    room.holds(group("a", 0), 10, 10);
    room.holds(group("a", 1), 10, 10);
    assertThat(room.runs()).isEqualTo(1);
    assertThat(room.layers()).isEqualTo(20);
    room.holds(group("b", 0), 10, 10);
    assertThat(room.refusal(group("c", 0), 10, 0)).isEqualTo(Limits.Kind.RUNS);
    assertThat(room.refusal(group("a", 2), 10, 0)).isNull();
  }

  @Test
  void aRunThatLeavesMakesRoom() {
    room.holds(group("a", 0), 10, 0);
    room.holds(group("b", 0), 10, 0);
    assertThat(room.isNews(Limits.Kind.RUNS)).isTrue();
    assertThat(room.isNews(Limits.Kind.RUNS)).isFalse();
    room.holds(group("a", 0), 0, 0);
    assertThat(room.refusal(group("c", 0), 10, 0)).isNull();
    room.holds(group("c", 0), 10, 0);
    assertThat(room.refusal(group("d", 0), 10, 0)).isEqualTo(Limits.Kind.RUNS);
    assertThat(room.isNews(Limits.Kind.RUNS)).as("there was room between").isTrue();
  }

  @Test
  void bytesAreReportedAgainOnlyAfterATenthWasFree() {
    room.holds(group("a", 0), 1, 990);
    assertThat(room.refusal(group("a", 0), 0, 20)).isEqualTo(Limits.Kind.BYTES);
    assertThat(room.isNews(Limits.Kind.BYTES)).isTrue();
    room.holds(group("a", 0), 1, 950);
    assertThat(room.isNews(Limits.Kind.BYTES)).isFalse();
    room.holds(group("a", 0), 1, 900);
    assertThat(room.isNews(Limits.Kind.BYTES)).isTrue();
    assertThat(room.describe(Limits.Kind.BYTES)).isEqualTo("900 bytes are held, 1000 are allowed");
  }

  @Test
  void nothingHeldIsNothingRemembered() {
    room.holds(group("a", 0), 10, 10);
    room.holds(group("a", 0), 0, 0);
    assertThat(room.runs()).isZero();
    assertThat(room.layers()).isZero();
    assertThat(room.bytes()).isZero();
  }
}
