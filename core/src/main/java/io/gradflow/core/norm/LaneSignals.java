package io.gradflow.core.norm;

import io.gradflow.core.signal.ClipMonitor;
import io.gradflow.core.signal.Direction;
import io.gradflow.core.signal.NoiseScale;
import io.gradflow.core.signal.Saturation;
import java.util.Arrays;

/**
 * What the signals of a lane remember from step to step. Arrays are changed in place; a step leaves
 * what it lacks as it is.
 *
 * @param lastStep the last step that was observed, -1 before the first
 * @param norms per layer: its L2 norm in that step, NaN if it had none
 * @param globalNorm of that step
 * @param sketchStep the last step with sketches, -1 before the first
 * @param sketches of that step, per layer; a row is null without
 * @param noise one slot, of all layers together
 */
public record LaneSignals(
    long lastStep,
    double[] norms,
    double globalNorm,
    long sketchStep,
    double[][] sketches,
    NoiseScale noise,
    Saturation saturation,
    ClipMonitor clips) {

  static LaneSignals of(int layers) {
    return new LaneSignals(
        -1,
        new double[layers],
        Double.NaN,
        -1,
        new double[0][],
        NoiseScale.of(1),
        Saturation.of(layers),
        ClipMonitor.of(layers));
  }

  /** The memory after a step, and the step's signals. */
  record Observation(LaneSignals after, TrackedSignals signals) {}

  /** Observes a step beyond all before. A step that the optimiser skips teaches nothing. */
  Observation observe(SignalReport step) {
    if (step.isSkipped()) {
      return new Observation(
          this,
          TrackedSignals.running(
              noise.scale(0),
              clips.clippedFraction(),
              clips.meanCoefficient(),
              clips.advisedClip()));
    }
    int layers = norms.length;
    float[] cosines = unknown(layers);
    float[] errors = unknown(layers);
    boolean dots = lastStep >= 0 && step.previousStep() == lastStep;
    boolean byDots = dots && cosinesByDots(step, cosines, errors);
    double[][] latest = step.sketches();
    boolean bySketches = !byDots && latest != null && cosinesBySketches(latest, cosines, errors);
    double cosine =
        byDots ? Direction.cosine(step.dotPrevious(), step.globalNorm(), globalNorm) : Double.NaN;
    double error = Double.isNaN(cosine) ? Double.NaN : 0;
    if (bySketches) {
      double[] now = step.sumOfCounting(latest);
      double[] before = step.sumOfCounting(sketches);
      double estimate = now == null || before == null ? Double.NaN : Direction.cosine(now, before);
      if (Direction.tells(estimate, now == null ? 1 : now.length)) {
        cosine = estimate;
        error = Direction.standardError(estimate, now.length);
      }
    }
    float[] saturations = saturations(step);
    noise.observe(0, step.gradientSquare(), step.noiseTrace());
    ClipMonitor monitor =
        clips.observe(step.globalNorm(), step.clipNorm(), step.clipCoefficient(), step.norms());
    ClipMonitor.Alternatives others = monitor.last();
    TrackedSignals signals =
        new TrackedSignals(
            byDots ? lastStep : bySketches ? sketchStep : -1,
            known(cosines),
            known(errors),
            cosine,
            error,
            known(saturations),
            noise.scale(0),
            monitor.clippedFraction(),
            monitor.meanCoefficient(),
            monitor.advisedClip(),
            others.autoClip().threshold(),
            others.zClip().threshold(),
            Double.isNaN(others.adaGc().coefficient()) ? -1 : others.adaGc().layers(),
            others.adaGc().coefficient() * step.globalNorm());
    return new Observation(
        new LaneSignals(
            step.step(),
            step.norms(),
            step.globalNorm(),
            latest == null ? sketchStep : step.step(),
            latest == null ? sketches : latest,
            noise,
            saturation,
            monitor),
        signals);
  }

  private boolean cosinesByDots(SignalReport step, float[] cosines, float[] errors) {
    boolean any = false;
    for (int layer = 0; layer < norms.length; layer++) {
      double cosine = Direction.cosine(step.dotPrevious(layer), step.norms()[layer], norms[layer]);
      if (!Double.isNaN(cosine)) {
        cosines[layer] = (float) cosine;
        errors[layer] = 0;
        any = true;
      }
    }
    return any;
  }

  private boolean cosinesBySketches(double[][] latest, float[] cosines, float[] errors) {
    boolean any = false;
    for (int layer = 0; layer < sketches.length; layer++) {
      double[] now = latest[layer];
      double[] before = sketches[layer];
      if (now == null || before == null || now.length != before.length) {
        continue;
      }
      any = true;
      double cosine = Direction.cosine(now, before);
      if (Direction.tells(cosine, now.length)) {
        cosines[layer] = (float) cosine;
        errors[layer] = (float) Direction.standardError(cosine, now.length);
      }
    }
    return any;
  }

  private float[] saturations(SignalReport step) {
    float[] points = unknown(norms.length);
    for (int layer = 0; layer < norms.length; layer++) {
      points[layer] = (float) saturation.observe(layer, step.deadFraction(layer));
    }
    return points;
  }

  private static float[] unknown(int layers) {
    float[] column = new float[layers];
    Arrays.fill(column, Float.NaN);
    return column;
  }

  /** Null of a column that says nothing. */
  private static float[] known(float[] column) {
    for (float value : column) {
      if (!Float.isNaN(value)) {
        return column;
      }
    }
    return null;
  }
}
