package io.gradflow.core.shard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.StepId;
import io.gradflow.core.signal.CountSketch;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Signals of gradients, against plain loops over their elements. */
class SignalMeasurementTest {
  private static final String RUN = "gpt";
  private static final Set<SignalGroup> ALL = EnumSet.allOf(SignalGroup.class);

  @Test
  void signalsAreThoseOfAPlainLoopOverTheFiniteElements() {
    float[][] layers = nasty();
    long[] offsets = new long[layers.length];
    Arrays.setAll(offsets, layer -> 13L * layer);
    LayerColumns columns = Measurement.of(ALL, slicing(Dtype.FLOAT32, offsets), layers);
    SignalColumns signals = columns.signals();

    assertThat(signals.sketches().layers()).hasSize(layers.length);
    for (int layer = 0; layer < layers.length; layer++) {
      double sum = 0;
      double sumAbs = 0;
      long subnormals = 0;
      float least = Float.POSITIVE_INFINITY;
      SortedMap<Integer, Long> octaves = new TreeMap<>();
      double[] sketch = new double[CountSketch.WIDTH];
      for (int i = 0; i < layers[layer].length; i++) {
        float value = layers[layer][i];
        if (Float.isFinite(value) && value != 0) {
          float magnitude = Math.abs(value);
          sum += value;
          sumAbs += magnitude;
          subnormals += magnitude < Float.MIN_NORMAL ? 1 : 0;
          least = Math.min(least, magnitude);
          octaves.merge(Math.getExponent((double) value), 1L, Long::sum);
          long seed = CountSketch.seed(RUN, layer);
          CountSketch.add(sketch, seed, offsets[layer] + i, new float[] {value}, 0, 1);
        }
      }
      assertThat((double) signals.sum()[layer]).isCloseTo(sum, within(1e-7 * sumAbs));
      assertThat(signals.subnormals()[layer]).isEqualTo(subnormals);
      assertThat(signals.minNonzeroAbs()[layer]).isEqualTo(octaves.isEmpty() ? 0 : least);
      assertThat(octaves(signals.histograms(), layer)).isEqualTo(octaves);
      for (int bucket = 0; bucket < sketch.length; bucket++) {
        assertThat((double) signals.sketches().values()[layer * sketch.length + bucket])
            .isCloseTo(sketch[bucket], within(1e-7 * sumAbs));
      }
    }
    assertThat(columns.signals().fault(columns)).isNull();
  }

  @Test
  void normsAreTheSameBitForBitWhateverIsMeasuredBesideThem() {
    float[][] layers = nasty();
    LayerColumns alone = Measurement.of(layers);
    LayerColumns beside =
        Measurement.of(ALL, slicing(Dtype.FLOAT32, new long[layers.length]), layers);
    assertThat(alone.signals()).isNull();
    assertThat(beside.with(null)).usingRecursiveComparison().isEqualTo(alone);
  }

  @Test
  void onlyWhatIsAskedForIsThere() {
    float[][] layers = {{1, 2}};
    Slicing slicing = slicing(Dtype.FLOAT32, 0);
    assertThat(Measurement.of(Set.of(), slicing, layers).signals()).isNull();
    assertThat(Measurement.of(Set.of(SignalGroup.WEIGHTS), slicing, layers).signals()).isNull();
    SignalColumns moments = Measurement.of(Set.of(SignalGroup.MOMENTS), slicing, layers).signals();
    assertThat(moments.sum()).containsExactly(3);
    assertThat(moments.contentHash()).isNull();
    assertThat(moments.histograms()).isNull();
    assertThat(moments.sketches()).isNull();
    SignalColumns hash = Measurement.of(Set.of(SignalGroup.HASH), slicing, layers).signals();
    assertThat(hash.contentHash()).hasSize(1);
    assertThat(hash.sum()).isNull();
    assertThat(hash.subnormals()).isNull();
    assertThat(hash.minNonzeroAbs()).isNull();
  }

  @Test
  void subnormalsAreThoseOfTheDeclaredDtypeAndUnknownOfOthers() {
    float[] layer = {0x1p-14f, -0x1.8p-15f, 0x1p-24f, 0x1p-127f, 0, -0f};
    float[][] layers = {layer, layer, layer};
    Dtype[] dtypes = {Dtype.FLOAT16, Dtype.BFLOAT16, Dtype.FLOAT32};
    Slicing known = new Slicing(RUN, 0, dtypes, new long[3]);
    assertThat(Measurement.of(ALL, known, layers).signals().subnormals()).containsExactly(3, 1, 1);
    dtypes[1] = null;
    SignalColumns unknown = Measurement.of(ALL, known, layers).signals();
    assertThat(unknown.subnormals()).isNull();
    assertThat(unknown.minNonzeroAbs()).containsOnly(0x1p-127f);
  }

  @Test
  void aSumThatAFloatCannotHoldIsUnknown() {
    float max = Float.MAX_VALUE;
    float[][] layers = {{max, max}, {max, max, -max, -max}, {-max, -max}, {Float.MIN_VALUE}};
    SignalColumns signals =
        Measurement.of(ALL, slicing(Dtype.FLOAT32, new long[4]), layers).signals();
    assertThat(signals.sum()).containsExactly(Float.NaN, 0, Float.NaN, Float.MIN_VALUE);
    assertThat(Measurement.held(1e-46)).isNaN();
    assertThat(Measurement.held(-1e39)).isNaN();
    assertThat(Measurement.held(1e-40)).isNaN();
    assertThat(Measurement.held(0x1p-149)).isEqualTo(Float.MIN_VALUE);
    assertThat(Measurement.held(0)).isZero();
    assertThat(Measurement.held(Double.NaN)).isNaN();
  }

  @Test
  void sketchesThatCannotBeTakenAreLeftOut() {
    float max = Float.MAX_VALUE;
    float[] overflowing = new float[8 * CountSketch.WIDTH];
    Arrays.fill(overflowing, max);
    SignalColumns signals =
        Measurement.of(
                ALL,
                slicing(Dtype.FLOAT32, Slicing.UNKNOWN, 0, 5),
                new float[] {1},
                overflowing,
                new float[] {1})
            .signals();
    assertThat(signals.sketches().layers()).containsExactly(2);
    assertThat(signals.sketches().values()).hasSize(CountSketch.WIDTH);
    assertThat(signals.histograms().size()).isEqualTo(3);
  }

  @Test
  void aHashIsOfTheBitsInTheirOrder() {
    Random random = new Random(11);
    float[] values = new float[2051];
    for (int i = 0; i < values.length; i++) {
      values[i] = 1f / (i + 1);
    }
    long hash = hash(values);
    assertThat(hash(values.clone())).isEqualTo(hash);
    for (int round = 0; round < 2000; round++) {
      float[] other = values.clone();
      int at = random.nextInt(other.length);
      if (round % 2 == 0) {
        other[at] =
            Float.intBitsToFloat(Float.floatToRawIntBits(other[at]) ^ 1 << random.nextInt(32));
      } else {
        int with = (at + 4 * (1 + random.nextInt(500))) % other.length;
        float moved = other[at];
        other[at] = other[with];
        other[with] = moved;
      }
      assertThat(hash(other)).isNotEqualTo(hash);
    }
    assertThat(hash(0f)).isNotEqualTo(hash(-0f)).isNotEqualTo(hash()).isNotEqualTo(hash(0f, 0f));
    assertThat(hash(Float.NaN)).isNotEqualTo(hash(Float.intBitsToFloat(0x7FC00001)));
  }

  @Test
  void aHashIsWhatItsDescriptionSays() {
    float[] values = gaussian(new Random(5), 1030);
    values[3] = Float.NaN;
    long expected = 0;
    for (int i = 0; i < values.length; i++) {
      long bits = Integer.toUnsignedLong(Float.floatToRawIntBits(values[i]));
      long z = (i + 1) * 0x9E3779B97F4A7C15L + bits;
      long y = (z ^ z >>> 32) * 0xBF58476D1CE4E5B9L;
      expected += y ^ y >>> 29;
    }
    assertThat(hash(values)).isEqualTo(expected);
  }

  @Test
  void hashesOfTheCutsOfASliceAddUp() {
    float[] values = gaussian(new Random(6), 5000);
    for (int cut : new int[] {0, 1, 1023, 1024, 3333, 4999}) {
      long first = measured(values, 0, cut, null).signals().contentHash()[0];
      long rest = measured(values, cut, values.length, null).signals().contentHash()[0];
      assertThat(first + rest).as("cut at %d", cut).isEqualTo(hash(values));
    }
  }

  @Test
  void aBlockYieldsWhatItsValuesDo() {
    float[] values = gaussian(new Random(3), 3000);
    values[9] = Float.NaN;
    SignalColumns block = measured(values, 0, values.length, 0L).signals();
    float[][] layers = {{}, {}, values};
    SignalColumns whole =
        Measurement.of(ALL, slicing(Dtype.FLOAT32, new long[3]), layers).signals();
    assertThat(block.sum()[0]).isEqualTo(whole.sum()[2]);
    assertThat(block.subnormals()[0]).isEqualTo(whole.subnormals()[2]);
    assertThat(block.minNonzeroAbs()[0]).isEqualTo(whole.minNonzeroAbs()[2]);
    assertThat(block.contentHash()[0]).isEqualTo(whole.contentHash()[2]);
    assertThat(octaves(block.histograms(), 0)).isEqualTo(octaves(whole.histograms(), 2));
    assertThat(block.sketches().layers()).containsExactly(2);
    assertThat(block.sketches().values())
        .isEqualTo(
            Arrays.copyOfRange(
                whole.sketches().values(), 2 * CountSketch.WIDTH, 3 * CountSketch.WIDTH));
    assertThat(block.weightNorm()).isNull();
    assertThat(block.dotPrevious()).isNull();
  }

  @Test
  void aBlockOfUnknownPlaceHasNoSketchAndALocalOneNothingElse() {
    float[] values = {1, 2};
    SignalColumns unplaced = measured(values, 0, 2, null).signals();
    assertThat(unplaced.sketches()).isNull();
    assertThat(unplaced.sum()).containsExactly(3);
    SignalColumns local = block(Stage.LOCAL, values, 0, 0L).measured().columns().signals();
    assertThat(local.sketches().layers()).containsExactly(2);
    assertThat(local.sum()).isNull();
    assertThat(local.histograms()).isNull();
    assertThat(local.contentHash()).isNull();
    assertThat(block(Stage.LOCAL, values, 0, null).measured().columns().signals()).isNull();
  }

  @Test
  void aNormOrDotProductOfSomethingNotFiniteIsUnknown() {
    float[] a = gaussian(new Random(1), 2500);
    float[] b = gaussian(new Random(2), 2500);
    double squares = 0;
    double dot = 0;
    for (int i = 0; i < a.length; i++) {
      squares += (double) a[i] * a[i];
      dot += (double) a[i] * b[i];
    }
    assertThat((double) Measurement.norms(a, b)[0])
        .isCloseTo(Math.sqrt(squares), within(1e-7 * Math.sqrt(squares)));
    assertThat(Measurement.dot(a, b)).isCloseTo(dot, within(1e-12 * squares));
    assertThat(Measurement.norms(new float[0], new float[] {-0f})).containsExactly(0, 0);
    assertThat(Measurement.dot(new float[] {0, 1}, new float[] {1, 0})).isZero();
    assertThat(Measurement.dot(a, new float[3])).isNaN();
    b[2000] = Float.POSITIVE_INFINITY;
    assertThat(Measurement.norms(a, b)[1]).isNaN();
    assertThat(Measurement.dot(a, b)).isNaN();
  }

  private static float[][] nasty() {
    Random random = new Random(42);
    float[] wide = new float[5003];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = Float.intBitsToFloat(random.nextInt());
    }
    float[] tiny = gaussian(random, 1500);
    for (int i = 0; i < tiny.length; i++) {
      tiny[i] *= 1e-38f;
    }
    return new float[][] {
      gaussian(random, 4099),
      {},
      {0, -0f},
      {Float.NaN, Float.NaN},
      {-3},
      {Float.MIN_VALUE, -Float.MIN_NORMAL, Float.POSITIVE_INFINITY, 1},
      moderate(wide),
      tiny,
    };
  }

  /** All of it but what is so large that sums of it do not fit a float. */
  private static float[] moderate(float... values) {
    float[] moderate = values.clone();
    for (int i = 0; i < moderate.length; i++) {
      boolean large = Float.isFinite(moderate[i]) && Math.abs(moderate[i]) > 1e30f;
      moderate[i] = large ? moderate[i] * 1e-30f : moderate[i];
    }
    return moderate;
  }

  private static float[] gaussian(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = random.nextInt(9) == 0 ? 0 : (float) random.nextGaussian();
    }
    return values;
  }

  private static long hash(float... values) {
    return Measurement.of(Set.of(SignalGroup.HASH), slicing(Dtype.FLOAT32, 0), values)
        .signals()
        .contentHash()[0];
  }

  private static Slicing slicing(Dtype dtype, long... offsets) {
    Dtype[] dtypes = new Dtype[offsets.length];
    Arrays.fill(dtypes, dtype);
    return new Slicing(RUN, 0, dtypes, offsets);
  }

  private static LayerColumns measured(float[] layer, int from, int to, Long globalOffset) {
    return block(Stage.REDUCED, Arrays.copyOfRange(layer, from, to), from, globalOffset)
        .measured()
        .columns();
  }

  private static Block block(Stage stage, float[] values, long offset, Long globalOffset) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    Shard header =
        new Shard(
            new StepId(RUN, 0, StepId.MAIN_STREAM, 0),
            0,
            new int[] {0},
            0,
            1,
            0,
            stage,
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
            null,
            null,
            null,
            null,
            null,
            null,
            null);
    return new Block(
        header,
        2,
        offset,
        globalOffset,
        values.length,
        Dtype.FLOAT32,
        bytes.array(),
        Block.Purpose.MEASURE,
        null);
  }

  private static SortedMap<Integer, Long> octaves(Histograms histograms, int row) {
    SortedMap<Integer, Long> octaves = new TreeMap<>();
    for (int i = histograms.offsets()[row]; i < histograms.offsets()[row + 1]; i++) {
      octaves.put(histograms.bins()[i], histograms.counts()[i]);
    }
    return octaves;
  }
}
