package io.gradflow.operators.types;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Shard;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.java.typeutils.GenericTypeInfo;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.junit.jupiter.api.Test;

class RecordTypesTest {
  /** A colour. */
  public enum Colour {
    RED,
    BLUE
  }

  /** Part of a whole. */
  public record Inner(String name, Double maybe) {}

  /** One component of each kind. */
  public record Everything(
      int number,
      Long maybe,
      String text,
      Colour colour,
      float[] floats,
      double[] doubles,
      long[] longs,
      int[] ints,
      byte[] bytes,
      double[][] rows,
      List<Inner> inners,
      Map<String, Long> counts,
      Inner inner) {}

  /** Not serializable without Kryo. */
  public record Opaque(Object anything) {}

  @Test
  void everyKindOfComponentSurvives() throws IOException {
    Random random = new Random(7);
    Everything before =
        new Everything(
            3,
            4L,
            "text",
            Colour.BLUE,
            random(random, 5000),
            random.doubles(3000).toArray(),
            random.longs(2049).toArray(),
            random.ints(2048).toArray(),
            new byte[] {1, 2},
            new double[][] {{1, -2}, null},
            List.of(new Inner("a", 1.5), new Inner(null, null)),
            Map.of("k", 9L),
            new Inner("b", null));

    Everything after = roundTrip(before);

    assertThat(after).usingRecursiveComparison().isEqualTo(before);
  }

  @Test
  void everyReferenceMayBeNull() throws IOException {
    Everything before =
        new Everything(3, null, null, null, null, null, null, null, null, null, null, null, null);

    assertThat(roundTrip(before)).usingRecursiveComparison().isEqualTo(before);
  }

  @Test
  void copiesOfColumnsAreDeep() {
    float[] column = {1, 2};
    float[] copy = ColumnSerializer.Floats.INSTANCE.copy(column);

    copy[0] = 9;

    assertThat(column).containsExactly(1, 2);
  }

  @Test
  void whatWouldFallToKryoIsRefusedByName() {
    assertThatThrownBy(() -> RecordTypes.of(Opaque.class))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Opaque.anything is a java.lang.Object");
  }

  @Test
  void theRecordsOfTheEdgesNeedNoKryo() {
    SerializerConfigImpl config = new SerializerConfigImpl();
    config.setGenericTypes(false);

    for (Class<?> type : List.of(Shard.class, Step.class)) {
      assertThat(RecordTypes.of(type)).isNotInstanceOf(GenericTypeInfo.class);
      assertThat(RecordTypes.of(type).createSerializer(config)).isNotNull();
    }
  }

  private static Everything roundTrip(Everything value) throws IOException {
    SerializerConfigImpl config = new SerializerConfigImpl();
    config.setGenericTypes(false);
    TypeSerializer<Everything> serializer =
        RecordTypes.of(Everything.class).createSerializer(config);
    DataOutputSerializer out = new DataOutputSerializer(64);
    serializer.serialize(serializer.copy(value), out);
    DataInputDeserializer in = new DataInputDeserializer(out.getCopyOfBuffer());
    Everything after = serializer.deserialize(in);
    assertThat(in.available()).isZero();
    return after;
  }

  private static float[] random(Random random, int length) {
    float[] column = new float[length];
    for (int i = 0; i < length; i++) {
      column[i] = random.nextFloat();
    }
    return column;
  }
}
