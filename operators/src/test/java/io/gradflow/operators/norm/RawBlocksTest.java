package io.gradflow.operators.norm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.AssemblingPolicy;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.operators.wire.DeadLetters;
import io.gradflow.operators.wire.DecodeRecords;
import io.gradflow.operators.wire.RawRecord;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.WriterSchemas;
import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.ProcessFunctionTestHarnesses;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Raw values on their whole way, from the bytes of {@code gradient-blocks} to those of {@code
 * gradient-steps}: the norms of the step are those of the decoded values to 1e-12.
 */
class RawBlocksTest {
  private static final double EXACT = 1e-12;
  private static final MathContext DIGITS = new MathContext(30);

  /** Two hosts that hold the same, each of two ranks that hold half a layer. */
  private static final int REPLICAS = 2;

  private static final int PIECES = 2;

  /** A layer whose finite values all lie within an octave or two of a magnitude. */
  private record Values(String name, Dtype dtype, int exponent, int count) {
    private boolean isFinite() {
      return !name.endsWith("non finite");
    }

    private int fractionBits() {
      return dtype == Dtype.FLOAT32 ? 23 : dtype == Dtype.FLOAT16 ? 10 : 7;
    }

    private int bits(Random random) {
      int signBit = 8 * dtype.width() - 1;
      int special = (1 << (signBit - fractionBits())) - 1;
      int sign = random.nextInt(2) << signBit;
      if (!isFinite() && random.nextInt(100) == 0) {
        return sign | (special << fractionBits()) | random.nextInt(2);
      }
      if (name.equals("float32 biased")) {
        // Squares of one value round the same way each time they are added.
        return sign | Float.floatToIntBits(1.1f);
      }
      int fraction = random.nextInt(1 << fractionBits());
      if (name.equals("float16 at 6e-8")) {
        // The smallest there are: 0, 6e-8, 1.2e-7.
        fraction = random.nextInt(3);
      }
      return sign | (exponent << fractionBits()) | fraction;
    }

    /** IEEE 754's definition of the format. */
    private double defined(int bits) {
      int exponentBits = 8 * dtype.width() - 1 - fractionBits();
      int bias = (1 << (exponentBits - 1)) - 1;
      int field = (bits >>> fractionBits()) & ((1 << exponentBits) - 1);
      double fraction = Math.scalb((double) (bits & ((1 << fractionBits()) - 1)), -fractionBits());
      boolean negative = ((bits >>> (8 * dtype.width() - 1)) & 1) == 1;
      double magnitude;
      if (field == (1 << exponentBits) - 1) {
        magnitude = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
      } else if (field == 0) {
        magnitude = Math.scalb(fraction, 1 - bias);
      } else {
        magnitude = Math.scalb(1 + fraction, field - bias);
      }
      return negative ? -magnitude : magnitude;
    }
  }

  private static final List<Values> LAYERS =
      List.of(
          new Values("float32 at 1e20", Dtype.FLOAT32, 127 + 66, 30_001),
          new Values("float32 at 1e-30", Dtype.FLOAT32, 127 - 100, 30_001),
          new Values("float32 near its limit", Dtype.FLOAT32, 254, 5_000),
          new Values("float32 subnormal", Dtype.FLOAT32, 0, 5_000),
          new Values("float32 biased", Dtype.FLOAT32, 127, 200_000),
          new Values("bfloat16 at 1e20", Dtype.BFLOAT16, 127 + 66, 30_001),
          new Values("bfloat16 at 1e-30", Dtype.BFLOAT16, 127 - 100, 30_001),
          new Values("bfloat16 subnormal", Dtype.BFLOAT16, 0, 5_000),
          new Values("float16 at 6e4", Dtype.FLOAT16, 15 + 15, 30_001),
          new Values("float16 at 1", Dtype.FLOAT16, 15, 30_001),
          new Values("float16 at 6e-8", Dtype.FLOAT16, 0, 30_001),
          new Values("float32 with non finite", Dtype.FLOAT32, 127, 5_000),
          new Values("bfloat16 with non finite", Dtype.BFLOAT16, 127, 5_000),
          new Values("float16 with non finite", Dtype.FLOAT16, 15, 5_000),
          new Values("no value", Dtype.FLOAT32, 0, 0),
          new Values("one value", Dtype.BFLOAT16, 127, 1));

  private final Random random = new Random(31);
  private final int[][] bits =
      LAYERS.stream()
          .map(of -> random.ints(of.count).map(any -> of.bits(random)).toArray())
          .toArray(int[][]::new);

  @ParameterizedTest
  // Restoring RocksDB before each of 200 blocks takes half a minute.
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "ROCKSDB_RESTORED")
  void theStepHoldsTheNormsOfTheDecodedValues(Trial.Mode mode) throws Exception {
    List<RawRecord> records = new ArrayList<>();
    for (int rank = 0; rank < REPLICAS * PIECES; rank++) {
      blocks(rank).forEach(block -> records.add(record(block)));
    }
    Collections.shuffle(records, random);

    Step step = published(mode, shards(records));

    assertThat(step.completeness()).isEqualTo(1);
    assertThat(step.incompleteLayers()).isNull();
    assertThat(step.scalars().loss()).isEqualTo(0.5);
    assertThat(step.scalars().learningRates()).containsExactly(0.1);
    assertThat(step.evidence().replicaSpread()).containsOnly(0);
    assertThat(step.globalNorm()).isNaN();
    for (int layer = 0; layer < LAYERS.size(); layer++) {
      assertNorms(step.norms(), layer);
    }
  }

  private void assertNorms(NormColumns norms, int layer) {
    Values of = LAYERS.get(layer);
    BigDecimal squares = BigDecimal.ZERO;
    BigDecimal abs = BigDecimal.ZERO;
    double max = 0;
    long zeros = 0;
    long[] nonFinite = new long[3];
    for (int one : bits[layer]) {
      double value = of.defined(one);
      if (Double.isNaN(value)) {
        nonFinite[0]++;
      } else if (Double.isInfinite(value)) {
        nonFinite[value > 0 ? 1 : 2]++;
      } else {
        BigDecimal magnitude = new BigDecimal(Math.abs(value));
        squares = squares.add(magnitude.multiply(magnitude));
        abs = abs.add(magnitude);
        max = Math.max(max, Math.abs(value));
        zeros += value == 0 ? 1 : 0;
      }
    }
    assertRelative(of, norms.finiteL2()[layer], squares.sqrt(DIGITS));
    assertThat(norms.zeros()[layer]).as("zeros of %s", of).isEqualTo(zeros);
    if (of.isFinite()) {
      assertRelative(of, norms.l2()[layer], squares.sqrt(DIGITS));
      assertRelative(of, norms.l1()[layer], abs);
      assertThat(norms.linf()[layer]).as("linf of %s", of).isEqualTo(max);
      if (of.count > 0) {
        BigDecimal mean = squares.divide(BigDecimal.valueOf(of.count), DIGITS);
        assertRelative(of, norms.rms()[layer], mean.sqrt(DIGITS));
      }
    } else {
      assertThat(norms.l2()[layer]).isNaN();
      int at = Arrays.binarySearch(norms.nonFinite().layers(), layer);
      assertThat(norms.nonFinite().nans()[at]).isEqualTo(nonFinite[0]).isPositive();
      assertThat(norms.nonFinite().posInfs()[at]).isEqualTo(nonFinite[1]).isPositive();
      assertThat(norms.nonFinite().negInfs()[at]).isEqualTo(nonFinite[2]).isPositive();
    }
  }

  private static void assertRelative(Values of, double actual, BigDecimal expected) {
    double reference = expected.doubleValue();
    assertThat(actual).as("%s", of).isCloseTo(reference, within(EXACT * reference));
  }

  /** What a rank publishes: its half of each layer, cut in three, the last slice being empty. */
  private List<Block> blocks(int rank) {
    List<Block> blocks = new ArrayList<>();
    int parts = 3 * LAYERS.size();
    for (int layer = 0; layer < LAYERS.size(); layer++) {
      Values of = LAYERS.get(layer);
      int piece = rank % PIECES;
      int from = piece * ((of.count + 1) / PIECES);
      int to = piece == PIECES - 1 ? of.count : (of.count + 1) / PIECES;
      int cut = (to - from) / 3;
      int[] ends = {0, cut, to - from, to - from};
      for (int slice = 0; slice < 3; slice++) {
        blocks.add(
            new Block(
                header(rank).part(blocks.size(), parts, null),
                layer,
                ends[slice],
                null,
                ends[slice + 1] - ends[slice],
                of.dtype,
                bytes(layer, from + ends[slice], from + ends[slice + 1]),
                Block.Purpose.MEASURE,
                null));
      }
    }
    return blocks;
  }

  private byte[] bytes(int layer, int from, int to) {
    Dtype dtype = LAYERS.get(layer).dtype;
    ByteBuffer bytes =
        ByteBuffer.allocate((to - from) * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
    for (int one : Arrays.copyOfRange(bits[layer], from, to)) {
      if (dtype.width() == Integer.BYTES) {
        bytes.putInt(one);
      } else {
        bytes.putShort((short) one);
      }
    }
    return bytes.array();
  }

  private static RawRecord record(Block block) {
    List<Encoded> encoded = Codecs.BLOCKS.encode(block);
    assertThat(encoded).hasSize(1);
    return new RawRecord(
        new Origin("gradient-blocks", 0, 0, 0), encoded.get(0).key(), encoded.get(0).value());
  }

  private static List<Shard> shards(List<RawRecord> records) throws Exception {
    var decode =
        new DecodeRecords<Block, Shard>(
            () -> Codecs.BLOCKS, Block::measured, null, new DeadLetters("NormJob", "1"));
    try (var harness = ProcessFunctionTestHarnesses.forProcessFunction(decode)) {
      for (RawRecord record : records) {
        harness.processElement(new StreamRecord<>(record));
      }
      return harness.extractOutputValues();
    }
  }

  private static Step published(Trial.Mode mode, List<Shard> shards) throws Exception {
    Manifest manifest = manifest();
    List<StepDelta> deltas;
    try (var combine =
        new Trial<RankGroup, Shard, GroupNotice, StepDelta>(
            mode,
            () -> new CombineShards(CombiningPolicy.defaults()),
            RankGroup::of,
            GroupNotice::key,
            RecordTypes.of(RankGroup.class),
            Rejections.TAG)) {
      combine.second(new GroupNotice(0, Layout.of(manifest), null));
      for (Shard shard : shards) {
        combine.first(shard);
      }
      assertThat(combine.sideOutput()).isEmpty();
      deltas = combine.output();
    }
    assertThat(deltas).hasSize(1);
    try (var assemble =
        new Trial<String, StepDelta, RunNotice, Step>(
            mode,
            () -> new AssembleSteps(AssemblingPolicy.defaults()),
            delta -> delta.id().runId(),
            RunNotice::runId,
            Types.STRING,
            Rejections.TAG)) {
      assemble.second(new RunNotice(manifest, null));
      assemble.first(deltas.get(0));
      byte[] bytes = Codecs.STEPS.encode(assemble.last()).get(0).value();
      return Codecs.STEPS.decoder(WriterSchemas.known()).decode(bytes, null).value();
    }
  }

  private static Shard header(int rank) {
    return new Shard(
        new StepId("raw", 1, StepId.MAIN_STREAM, 0),
        rank,
        new int[] {rank / PIECES, rank % PIECES},
        0,
        1,
        manifest().manifestId(),
        Stage.REDUCED,
        -1,
        0,
        1,
        0,
        0,
        0,
        1,
        null,
        false,
        null,
        null,
        0.5,
        null,
        new double[] {0.1},
        "host",
        null,
        null,
        null);
  }

  private static Manifest manifest() {
    List<Layer> layers =
        LAYERS.stream()
            .map(
                of ->
                    new Layer(
                        of.name,
                        null,
                        null,
                        LayerKind.WEIGHT,
                        of.count,
                        of.dtype.word(),
                        true,
                        false,
                        false,
                        null,
                        List.of(Placement.REPLICATE, Placement.SHARD)))
            .toList();
    return new Manifest(
            "raw",
            1,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            layers.size(),
            REPLICAS * PIECES,
            List.of(new MeshAxis("dp_replicate", REPLICAS), new MeshAxis("dp_shard", PIECES)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32",
            null,
            null,
            null,
            null,
            layers)
        .identified();
  }
}
