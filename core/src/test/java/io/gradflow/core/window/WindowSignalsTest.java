package io.gradflow.core.window;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.signal.Octaves;
import io.gradflow.core.window.WindowSignals.Magnitudes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Signals over windows of one layer of 4 elements, or of two. */
class WindowSignalsTest {
  private static final double UNKNOWN = Double.NaN;

  /** Weights, updates, direction, saturation. */
  private static StepSignals training(
      double mean, double weightNorm, double updateNorm, double cosine, double saturation) {
    return new StepSignals(
        new double[] {mean},
        null,
        null,
        new double[] {weightNorm},
        new double[] {updateNorm},
        new float[] {(float) cosine},
        null,
        null,
        null,
        new float[] {(float) saturation},
        null,
        null,
        null,
        null,
        null);
  }

  private static StepSignals counts(long subnormals, long activations, long saturated) {
    return new StepSignals(
        null,
        new long[] {subnormals},
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        new long[] {activations},
        new long[] {saturated},
        null,
        null,
        null);
  }

  private static StepSignals noise(double gradientSquare, double noiseTrace) {
    return new StepSignals(
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        new double[] {gradientSquare},
        new double[] {noiseTrace},
        null,
        null,
        null,
        null,
        null,
        null);
  }

  private static StepSignals histograms(Octaves... layers) {
    return new StepSignals(
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        Histograms.of(Arrays.asList(layers)),
        null,
        null);
  }

  private static Octaves octaves(float... values) {
    long[] slots = new long[Octaves.SLOTS];
    Octaves.count(values, 0, values.length, slots);
    return Octaves.ofSlots(slots);
  }

  @Test
  void meansAreOfTheStepsThatHaveTheSignal() {
    var run = new WindowedRun(1);
    run.signalled(0, null, training(0.6, 4, 0.04, -0.5, 2), 0);
    run.signalled(1, null, training(-0.8, 8, UNKNOWN, UNKNOWN, 6), 2);
    run.signalled(2, null, training(UNKNOWN, UNKNOWN, UNKNOWN, 0.25, UNKNOWN), UNKNOWN);
    run.step(3, 1);
    run.skipped(4, training(0.1, 1, 1, 1, 100), 9);

    WindowSignals signals = run.open().get(0).signals();
    assertThat(run.close().get(0).signals()).isEqualTo(signals);
    // RMS 1 and 4, norms 2 and 8.
    assertThat(signals.snr()).isCloseTo((0.6 / 0.8 + 0.8 / Math.sqrt(16 - 0.64)) / 2, within(1e-7));
    assertThat(signals.crest()).isEqualTo(2);
    assertThat(signals.updateRatio()).isCloseTo(0.01, within(1e-9));
    assertThat(signals.trustRatio()).isCloseTo((0.5 + 1) / 2, within(1e-7));
    assertThat(signals.cosine()).isEqualTo(-0.125);
    assertThat(signals.saturation()).isEqualTo(4);
    assertThat(signals.mostSaturation()).isEqualTo(6);
    assertThat(signals.noiseScale()).isNull();
    assertThat(signals.magnitudes()).isNull();
    assertThat(signals.saturatedFraction()).isNull();
    assertThat(signals.subnormalFraction()).isNull();
  }

  @Test
  void nothingIsKnownOfALayerWithoutNormsAndSignals() {
    var run = new WindowedRun(1);
    run.step(0, UNKNOWN);
    run.skipped(1, noise(1, 1), 0);
    assertThat(run.close().get(0).signals()).isNull();
  }

  @Test
  void fractionsAreOfSums() {
    var run = new WindowedRun(1);
    run.signalled(0, new long[] {0}, counts(1, 1_000, 10), 0);
    run.signalled(1, new long[] {2}, counts(2, 3_000, 390), 0);
    run.signalled(2, new long[] {-1}, counts(4, -1, 7), 0);
    run.signalled(3, null, counts(-1, 9, -1), 0);
    WindowSignals signals = run.close().get(0).signals();
    assertThat(signals.saturatedFraction()).isEqualTo(0.1);
    assertThat(signals.subnormalFraction()).as("of 4 and 2 elements").isEqualTo(0.5);
  }

  @Test
  void theNoiseScaleIsARatioOfMeans() {
    var run = new WindowedRun(1);
    run.signalled(0, null, noise(6, 100), 0);
    run.signalled(1, null, noise(-2, 300), 0);
    run.signalled(2, null, noise(50, UNKNOWN), 0);
    WindowSignals signals = run.close().get(0).signals();
    assertThat(signals.gradientSquare()).isEqualTo(2);
    assertThat(signals.noiseTrace()).isEqualTo(200);
    assertThat(signals.noiseScale()).isEqualTo(100);
  }

  @Test
  void aNoiseScaleThatIsNotResolvedIsNull() {
    var run = new WindowedRun(1);
    run.signalled(0, null, noise(6, 100), 0);
    run.signalled(1, null, noise(-8, 300), 0);
    WindowSignals signals = run.close().get(0).signals();
    assertThat(signals.gradientSquare()).isEqualTo(-1);
    assertThat(signals.noiseTrace()).isEqualTo(200);
    assertThat(signals.noiseScale()).isNull();
  }

  @Test
  void theNoiseScaleOfAWindowFindsTheTruth() {
    var random = new Random(5);
    var run = new WindowedRun(1);
    // Estimates whose errors are as large as what they estimate.
    for (int t = 0; t < 100; t++) {
      run.signalled(
          t, null, noise(2 + 2 * random.nextGaussian(), 640 + 64 * random.nextGaussian()), 0);
    }
    // Its relative error: sqrt(1 + 0.1^2) / sqrt(100); within 3 of these.
    assertThat(run.close().get(0).signals().noiseScale()).isCloseTo(320, within(0.3 * 320));
  }

  @Test
  void histogramsAddUpAndGiveQuantiles() {
    var run = new WindowedRun(2);
    run.signalled(0, new long[] {1, 0}, histograms(octaves(1, 1.5f, 4), null), 0, 0);
    run.signalled(1, new long[] {0, 0}, histograms(octaves(0.25f, 1, 1, 5), null), 0, 0);
    run.signalled(2, new long[] {4, 0}, histograms(octaves(), null), 0, 0);
    run.signalled(3, new long[] {-1, 0}, null, 0, 0);
    List<LayerWindow> windows = run.close();

    Magnitudes magnitudes = windows.get(0).signals().magnitudes();
    assertThat(magnitudes.steps()).isEqualTo(3);
    assertThat(magnitudes.bins()).containsExactly(-2, 0, 2);
    assertThat(magnitudes.counts()).containsExactly(1, 4, 2);
    assertThat(magnitudes.zeros()).isEqualTo(5);
    assertThat(magnitudes.p01()).isZero();
    assertThat(magnitudes.p50()).as("the 6th of 12").isBetween(0.25, 0.5);
    assertThat(magnitudes.p99()).isBetween(4.0, 8.0);
    assertThat(windows.get(1).signals().magnitudes()).isNull();
  }

  @Test
  void quantilesAreOfTheNonZeroElementsWhereZerosAreUnknown() {
    var run = new WindowedRun(1);
    run.signalled(0, new long[] {1}, histograms(octaves(1, 2, 4)), 0);
    run.signalled(1, null, histograms(octaves(1, 1, 8)), 0);
    Magnitudes magnitudes = run.close().get(0).signals().magnitudes();
    assertThat(magnitudes.zeros()).isNull();
    assertThat(magnitudes.p01()).isBetween(1.0, 2.0);
    assertThat(magnitudes.p99()).isBetween(8.0, 16.0);
  }

  @Test
  void quantilesOfAWindowLieInTheOctaveOfTheTrueOnes() {
    var random = new Random(3);
    var run = new WindowedRun(1);
    float[] all = new float[100 * 1_000];
    for (int t = 0; t < 100; t++) {
      float[] values = new float[1_000];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (random.nextGaussian() * Math.pow(2, -0.05 * t));
        all[t * values.length + i] = Math.abs(values[i]);
      }
      run.signalled(t, new long[] {0}, histograms(octaves(values)), 0);
    }
    Arrays.sort(all);
    Magnitudes magnitudes = run.close().get(0).signals().magnitudes();
    assertThat(Octaves.bin(magnitudes.p01().floatValue())).isEqualTo(Octaves.bin(all[999]));
    assertThat(Octaves.bin(magnitudes.p50().floatValue())).isEqualTo(Octaves.bin(all[49_999]));
    assertThat(Octaves.bin(magnitudes.p99().floatValue())).isEqualTo(Octaves.bin(all[98_999]));
  }

  @Test
  void rowsOfTheFirstReleaseHaveNormsAndSlopesAlone() {
    var run = new WindowedRun(1);
    for (int t = 0; t < 5; t++) {
      run.signalled(t, null, noise(1, 1), t);
    }
    for (LaneStep at : keys(run.state())) {
      WindowRow row = run.state().rows().get(at);
      run.state()
          .rows()
          .put(
              at,
              new WindowRow(
                  row.revision(), row.l2(), row.rms(), row.zeros(), null, null, null, null));
    }
    run.state().names().keys().forEach(id -> withoutElements(run.state(), id));
    LayerWindow window = run.close().get(0);
    assertThat(window.slope()).isCloseTo(1, within(1e-12));
    assertThat(window.signals()).isNull();
  }

  private static void withoutElements(WindowState state, long manifestId) {
    LayerNames names = state.names().get(manifestId);
    state.names().put(manifestId, new LayerNames(names.names(), null));
  }

  private static List<LaneStep> keys(WindowState state) {
    var keys = new ArrayList<LaneStep>();
    state.rows().keys().forEach(keys::add);
    return keys;
  }
}
