package io.gradflow.benchmarks;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.LayerTable;
import io.gradflow.core.detect.RunDetector;
import io.gradflow.core.detect.RunTrends;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A healthy run as the detectors of AlertJob see it: each layer's norms lie about a level of its
 * own, by a tenth of an octave; everything else of a step is like in the first.
 */
final class JudgedRun {
  private static final int RANKS = 4;
  private static final int ELEMENTS = 64;

  /** Steps differ in so many ways, one after the other. */
  private static final int VARIANTS = 32;

  private static final double NOISE = 0.1;

  private final LayerTable table;
  private final List<Step> variants = new ArrayList<>();
  private RunTrends trends;
  private long next;

  /**
   * @param local whether ranks also publish their gradients from before the reduction
   */
  JudgedRun(int layers, SignalSet signals, boolean local) {
    Publication drawn =
        Publication.drawn(layers, ELEMENTS, RANKS, Placement.REPLICATE).with(signals);
    Manifest manifest = local ? withLocal(drawn.manifest()) : drawn.manifest();
    table = LayerTable.of(manifest);
    List<Step> steps = new ArrayList<>();
    NormMachines machines = new NormMachines(manifest, steps::add, window -> {});
    for (Shard shard : drawn.shards()) {
      if (local) {
        machines.shard(Publication.of(manifest.manifestId(), Stage.LOCAL, shard));
      }
      machines.shard(Publication.of(manifest.manifestId(), Stage.REDUCED, shard));
    }
    Random random = new Random(layers);
    for (int i = 0; i < VARIANTS; i++) {
      variants.add(varied(steps.get(0), random));
    }
  }

  /** What is judged next. */
  Step step() {
    Step variant = variants.get((int) (next % VARIANTS));
    return at(variant.id(), next++, variant, variant.norms());
  }

  /** Judges the next step as the job does. */
  RunDetector.Judgement judge() {
    RunDetector.Judgement judgement =
        RunDetector.judge(DetectionPolicy.DEFAULT, table, trends, step());
    trends = judgement.state();
    return judgement;
  }

  /** What the detectors remember. */
  RunTrends trends() {
    return trends;
  }

  private static Manifest withLocal(Manifest manifest) {
    return new Manifest(
            manifest.runId(),
            manifest.attempt(),
            manifest.stream(),
            0,
            0,
            1,
            0,
            manifest.layerCount(),
            manifest.worldSize(),
            manifest.mesh(),
            List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
            manifest.reduceOp(),
            manifest.gradientDtype(),
            manifest.reductionDtype(),
            manifest.masterDtype(),
            manifest.optimizer(),
            manifest.adamEps(),
            manifest.layers())
        .identified();
  }

  private static Step varied(Step step, Random random) {
    NormColumns norms = step.norms();
    double[][] columns = {
      norms.l1().clone(),
      norms.l2().clone(),
      norms.linf().clone(),
      norms.rms().clone(),
      norms.finiteL2().clone()
    };
    for (int layer = 0; layer < norms.size(); layer++) {
      double factor = Math.pow(2, NOISE * random.nextGaussian());
      for (double[] column : columns) {
        column[layer] *= factor;
      }
    }
    return at(
        step.id(),
        step.id().step(),
        step,
        new NormColumns(
            columns[0],
            columns[1],
            columns[2],
            columns[3],
            columns[4],
            norms.zeros(),
            null,
            null,
            null));
  }

  private static Step at(StepId id, long number, Step step, NormColumns norms) {
    return new Step(
        new StepId(id.runId(), id.attempt(), id.stream(), number),
        step.manifestId(),
        0,
        1,
        0,
        step.revision(),
        step.closedBy(),
        false,
        step.completeness(),
        step.worldSize(),
        step.missingRanks(),
        step.conflictingRanks(),
        step.incompleteLayers(),
        step.incompleteCompleteness(),
        step.globalNorm(),
        norms,
        step.evidence(),
        step.scalars(),
        step.events(),
        step.signals());
  }
}
