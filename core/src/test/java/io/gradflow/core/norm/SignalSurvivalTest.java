package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.shard.Stage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * Which signals are null and which survive one NaN, one missing rank, one skipped step: the table
 * of the page for people is what comes out of combining and assembling.
 */
class SignalSurvivalTest {
  private static final Path PAGE = Path.of("..", "docs", "signals.md");
  private static final Pattern ROW =
      Pattern.compile(
          "^\\| `(\\w+)` \\| (kept|null) \\| (kept|null) \\| (kept|null) \\| (kept|null) \\| (kept|null) \\|",
          Pattern.MULTILINE);

  private static final int RANKS = 4;
  private static final int LAYERS = 6;
  private static final int ELEMENTS = 64;
  private static final int STEPS = 120;

  /** The layer that is looked at; in the second case the NaN is in another. */
  private static final int LAYER = 2;

  @Test
  void theTableIsWhatComesOut() throws IOException {
    Map<String, List<String>> documented = new LinkedHashMap<>();
    ROW.matcher(Files.readString(PAGE))
        .results()
        .forEach(
            row ->
                documented.put(
                    row.group(1),
                    List.of(row.group(2), row.group(3), row.group(4), row.group(5), row.group(6))));
    assertThat(documented).containsExactlyEntriesOf(measured());
  }

  @Test
  void everySignalOfAWholeStepIsThere() {
    Map<String, String> signals = new LinkedHashMap<>();
    signals.putAll(fates(new Training(Placement.REPLICATE).lastStep(Case.NOTHING)));
    signals.putAll(ranked(new Training(Placement.REPLICATE).lastStep(Case.NOTHING)));
    assertThat(signals.values()).containsOnly("kept");
  }

  private static Map<String, List<String>> measured() {
    Map<String, List<String>> table = new LinkedHashMap<>();
    Training replicas = new Training(Placement.REPLICATE);
    for (Step step :
        List.of(
            replicas.lastStep(Case.NAN_IN_THE_LAYER),
            replicas.lastStep(Case.NAN_ELSEWHERE),
            replicas.lastStep(Case.RANK_MISSING),
            new Training(Placement.SHARD).lastStep(Case.RANK_MISSING),
            replicas.lastStep(Case.SKIPPED))) {
      Map<String, String> fates = new LinkedHashMap<>(fates(step));
      fates.putAll(ranked(step));
      fates.forEach(
          (signal, fate) -> table.computeIfAbsent(signal, s -> new ArrayList<>()).add(fate));
    }
    return table;
  }

  private static Map<String, String> fates(Step step) {
    NormColumns norms = step.norms();
    StepSignals signals = step.signals();
    RunSignals run = signals.run();
    Map<String, String> fates = new LinkedHashMap<>();
    fates.put("l2", of(norms.l2()));
    fates.put("finiteL2", of(norms.finiteL2()));
    fates.put("zeros", of(norms.zeros()));
    fates.put("mean", of(signals.mean()));
    fates.put("subnormals", of(signals.subnormals()));
    fates.put("minNonzeroAbs", of(signals.minNonzeroAbs()));
    fates.put(
        "histogram",
        signals.histograms() != null && signals.histograms().isKnown(LAYER) ? "kept" : "null");
    fates.put("weightNorm", of(signals.weightNorm()));
    fates.put("updateNorm", of(signals.updateNorm()));
    fates.put("cosine", of(signals.cosine()));
    fates.put("gradientSquare", of(signals.gradientSquare()));
    fates.put("noiseTrace", of(signals.noiseTrace()));
    fates.put("saturation", of(signals.saturation()));
    fates.put("activations", of(signals.activations()));
    fates.put("globalNorm", of(step.globalNorm()));
    fates.put("runCosine", of(run.cosine()));
    fates.put("runGradientSquare", of(run.gradientSquare()));
    fates.put("noiseScale", of(run.noiseScale()));
    fates.put("headroom", of(run.headroom()));
    fates.put("underflow", of(run.underflow()));
    fates.put("advisedLossScale", of(run.advisedLossScale()));
    fates.put("clippedFraction", of(run.clippedFraction()));
    fates.put("clipCoefficient", of(run.clipCoefficient()));
    fates.put("advisedClip", of(run.advisedClip()));
    fates.put("autoClip", of(run.autoClip()));
    fates.put("zClip", of(run.zClip()));
    fates.put("adaGcNorm", of(run.adaGcNorm()));
    fates.put("depthSlope", of(run.depthSlope()));
    return fates;
  }

  /** Of rank 1, which is never the missing one. */
  private static Map<String, String> ranked(Step step) {
    RankEvidence evidence = step.evidence();
    RankComparison comparison = evidence.comparison();
    int row = Arrays.binarySearch(evidence.ranks(), 1);
    Map<String, String> fates = new LinkedHashMap<>();
    fates.put("localNorm", of(evidence.localNorm()[row]));
    fates.put("reducedNorm", of(comparison.reducedNorm()[row]));
    fates.put(
        "coherence", comparison.coherence() == null ? "null" : of(comparison.coherence()[row]));
    fates.put(
        "leastCoherence",
        comparison.leastCoherence() == null
            ? "null"
            : of(comparison.leastCoherence()[LAYER * comparison.perLayer()]));
    fates.put(
        "sketchCoherence",
        comparison.sketchCoherence() == null ? "null" : of(comparison.sketchCoherence()[row]));
    fates.put("effectiveRanks", comparison.effectiveRanks() == null ? "null" : "kept");
    return fates;
  }

  private static String of(double[] column) {
    return column == null ? "null" : of(column[LAYER]);
  }

  private static String of(float[] column) {
    return column == null ? "null" : of(column[LAYER]);
  }

  private static String of(long[] column) {
    return column == null || column[LAYER] < 0 ? "null" : "kept";
  }

  private static String of(double value) {
    return Double.isNaN(value) ? "null" : "kept";
  }

  private enum Case {
    NOTHING,
    NAN_IN_THE_LAYER,
    NAN_ELSEWHERE,
    RANK_MISSING,
    SKIPPED
  }

  /** Four workers that publish everything, for long enough that every baseline is there. */
  private static final class Training {
    private final TestRun run;
    private final boolean sliced;

    Training(Placement placement) {
      sliced = placement == Placement.SHARD;
      List<Layer> layers = new ArrayList<>();
      for (int i = 0; i < LAYERS; i++) {
        layers.add(
            new Layer(
                "layer" + i,
                null,
                i,
                LayerKind.WEIGHT,
                ELEMENTS,
                "float16",
                true,
                false,
                false,
                null,
                List.of(placement)));
      }
      run =
          TestRun.of(
              List.of(new MeshAxis(sliced ? "dp_shard" : "dp_replicate", RANKS)),
              List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
              layers);
    }

    Step lastStep(Case last) {
      Merging merging = new Merging(run).manifested();
      SplittableRandom random = new SplittableRandom(7);
      float[][] before = null;
      for (int step = 0; step < STEPS; step++) {
        Case now = step == STEPS - 1 ? last : Case.NOTHING;
        float[][][] local = new float[RANKS][LAYERS][ELEMENTS];
        float[][] mean = new float[LAYERS][ELEMENTS];
        for (int layer = 0; layer < LAYERS; layer++) {
          for (int i = 0; i < ELEMENTS; i++) {
            // Directions persist from step to step and from rank to rank, so that sketches tell.
            double common = Math.sin(i + 17 * layer);
            for (int rank = 0; rank < RANKS; rank++) {
              local[rank][layer][i] = (float) (common + 0.2 * random.nextDouble() - 0.1);
              mean[layer][i] += local[rank][layer][i] / RANKS;
            }
          }
        }
        if (now == Case.NAN_IN_THE_LAYER || now == Case.NAN_ELSEWHERE) {
          int poisoned = now == Case.NAN_IN_THE_LAYER ? LAYER : LAYER + 1;
          local[2][poisoned][5] = Float.NaN;
          mean[poisoned][5] = Float.NaN;
        }
        for (int rank = 0; rank < RANKS; rank++) {
          if (now != Case.RANK_MISSING || rank != 3) {
            merging.send(shard(step, rank, Stage.LOCAL, local[rank], mean, now));
            merging.send(shard(step, rank, Stage.REDUCED, mean, before, now));
          }
        }
        before = mean;
      }
      merging.end();
      return merging.steps.get(merging.steps.size() - 1);
    }

    private Shard shard(
        int step, int rank, Stage stage, float[][] gradient, float[][] other, Case now) {
      boolean slice = sliced && stage == Stage.REDUCED;
      int from = slice ? rank * ELEMENTS / RANKS : 0;
      int to = slice ? (rank + 1) * ELEMENTS / RANKS : ELEMENTS;
      float[][] own = slices(gradient, from, to);
      long[] offsets = new long[LAYERS];
      Arrays.fill(offsets, from);
      Dtype[] dtypes = new Dtype[LAYERS];
      Arrays.fill(dtypes, Dtype.FLOAT16);
      LayerColumns columns =
          Measurement.of(
              EnumSet.allOf(SignalGroup.class), new Slicing(TestRun.RUN, 0, dtypes, offsets), own);
      SignalColumns measured = columns.signals();
      float[] dots = other == null ? null : dots(own, slices(other, from, to));
      long[] activations = new long[LAYERS];
      Arrays.fill(activations, 100);
      boolean reduced = stage == Stage.REDUCED;
      columns =
          columns.with(
              new SignalColumns(
                  measured.sum(),
                  measured.subnormals(),
                  measured.minNonzeroAbs(),
                  reduced ? ones() : null,
                  reduced ? ones() : null,
                  reduced ? dots : null,
                  // A slice of the mean has no dot product with a whole gradient.
                  reduced || sliced ? null : dots,
                  reduced ? activations : null,
                  reduced ? new long[LAYERS] : null,
                  measured.contentHash(),
                  measured.histograms(),
                  measured.sketches()));
      return new Shard(
          new StepId(TestRun.RUN, TestRun.ATTEMPT, StepId.MAIN_STREAM, step),
          rank,
          run.coords(rank),
          0,
          1,
          run.manifest().manifestId(),
          stage,
          step - 1,
          0,
          1,
          0,
          0,
          0,
          8,
          1024.0,
          now == Case.SKIPPED,
          new Clip(Clip.GLOBAL_NORM, 1.0, 0.5),
          null,
          1.0,
          null,
          new double[] {0.1},
          null,
          null,
          columns,
          null);
    }

    /** What a trainer knows of weights and updates does not depend on the gradient. */
    private static float[] ones() {
      float[] ones = new float[LAYERS];
      Arrays.fill(ones, 1);
      return ones;
    }

    private static float[][] slices(float[][] whole, int from, int to) {
      return Arrays.stream(whole)
          .map(values -> Arrays.copyOfRange(values, from, to))
          .toArray(float[][]::new);
    }

    private static float[] dots(float[][] a, float[][] b) {
      float[] dots = new float[a.length];
      for (int layer = 0; layer < dots.length; layer++) {
        dots[layer] = Measurement.held(Measurement.dot(a[layer], b[layer]));
      }
      return dots;
    }
  }
}
