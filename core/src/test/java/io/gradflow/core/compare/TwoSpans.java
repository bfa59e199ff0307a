package io.gradflow.core.compare;

import io.gradflow.core.detect.SimulatedRun;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.NonFinite;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * A made-up run whose layers wander about their levels, each a first-order autoregression of its
 * own: {@code x[t+1] = phi x[t] + e}, with a standard deviation of {@link #SCATTER} octaves.
 */
final class TwoSpans {
  static final double SCATTER = 0.2;
  static final List<Layer> LAYERS = SimulatedRun.manifest(UnaryOperator.identity()).layers();

  private final SimulatedRun run;
  private final double phi;
  private final Random random;
  private final double[] wandering = new double[LAYERS.size()];
  private final List<Step> steps = new ArrayList<>();
  private final RunTimeline timeline = new RunTimeline();

  TwoSpans(long seed, double phi) {
    this.run = new SimulatedRun(seed, 0);
    this.phi = phi;
    this.random = new Random(~seed);
    for (int i = 0; i < wandering.length; i++) {
      wandering[i] = SCATTER * random.nextGaussian();
    }
  }

  /** Further steps. */
  TwoSpans steps(int count, UnaryOperator<SimulatedRun.Draft> change) {
    return written(count, draft -> change.apply(draft).step());
  }

  /** Further steps at a learning rate. */
  TwoSpans steps(int count, double learningRate) {
    return written(count, draft -> at(draft.step(), learningRate));
  }

  private TwoSpans written(int count, Function<SimulatedRun.Draft, Step> writing) {
    for (int t = 0; t < count; t++) {
      SimulatedRun.Draft draft = run.draft();
      for (int i = 0; i < wandering.length; i++) {
        wandering[i] =
            phi * wandering[i] + SCATTER * Math.sqrt(1 - phi * phi) * random.nextGaussian();
        draft.raise(LAYERS.get(i).name(), wandering[i]);
      }
      Step step = writing.apply(draft);
      steps.add(step);
      timeline.add(step.id(), step.revision());
    }
    return this;
  }

  List<Step> steps() {
    return steps;
  }

  RunTimeline timeline() {
    return timeline;
  }

  SpanStatistics span(long from, long to) {
    return SpanStatistics.of(LAYERS, timeline.span(from, to), steps);
  }

  /** The steps before one and those from it on. */
  Comparison at(long step) {
    return Comparison.of(span(0, step - 1), span(step, Long.MAX_VALUE));
  }

  private static Step at(Step step, double learningRate) {
    StepScalars was = step.scalars();
    return with(
        step,
        0,
        1,
        0,
        step.norms(),
        new StepScalars(
            was.loss(), null, new double[] {learningRate}, null, false, null, null, was.weight()),
        null);
  }

  /** The step with signals. */
  static Step with(Step step, StepSignals signals) {
    return with(step, 0, 1, 0, step.norms(), step.scalars(), signals);
  }

  /** The step as two records, the second one's columns from a layer on. */
  static List<Step> split(Step step, int at) {
    NormColumns norms = step.norms();
    int size = norms.size();
    return List.of(
        with(step, 0, 2, 0, columns(norms, 0, at), step.scalars(), null),
        with(step, 1, 2, at, columns(norms, at, size), step.scalars(), null));
  }

  private static NormColumns columns(NormColumns norms, int from, int to) {
    NonFinite bad = norms.nonFinite();
    return new NormColumns(
        null,
        Arrays.copyOfRange(norms.l2(), from, to),
        Arrays.copyOfRange(norms.linf(), from, to),
        Arrays.copyOfRange(norms.rms(), from, to),
        Arrays.copyOfRange(norms.finiteL2(), from, to),
        Arrays.copyOfRange(norms.zeros(), from, to),
        bad,
        bad == null ? null : norms.firstNonFiniteRank(),
        null);
  }

  private static Step with(
      Step step,
      int part,
      int parts,
      int firstLayer,
      NormColumns norms,
      StepScalars scalars,
      StepSignals signals) {
    return new Step(
        step.id(),
        step.manifestId(),
        part,
        parts,
        firstLayer,
        step.revision(),
        step.closedBy(),
        step.late(),
        step.completeness(),
        step.worldSize(),
        step.missingRanks(),
        step.conflictingRanks(),
        step.incompleteLayers(),
        step.incompleteCompleteness(),
        step.globalNorm(),
        norms,
        step.evidence(),
        scalars,
        step.events(),
        signals);
  }
}
