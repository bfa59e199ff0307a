package io.gradflow.core.conformance;

import io.gradflow.core.norm.Merging;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Refusal;
import io.gradflow.core.norm.Refusals;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Puts the shards of a composition together and holds every number against the known gradient. */
final class Conformance {
  /** Relative error of columns: norms are floats on the wire. */
  private static final double OF_COLUMNS = 2e-7;

  private static final double OF_RAW_VALUES = 1e-12;

  private final Composition composition;
  private final double tolerance;
  private final List<String> differences = new ArrayList<>();

  private Conformance(Composition composition) {
    this.composition = composition;
    tolerance = composition.form() == Composition.Form.RAW ? OF_RAW_VALUES : OF_COLUMNS;
  }

  /**
   * The steps of a composition as they are published, read in a wrong way or not.
   *
   * @param mistake the trainer's in the global norm that it reports; null if it reports none
   */
  static Merging merged(Composition composition, Misreading misreading, TrainerMistake mistake) {
    Merging merging = new Merging(composition.models().get(0).run());
    composition.models().forEach(m -> merging.manifested(misreading.manifest(m.run().manifest())));
    for (Shard shard : new Publication(composition, mistake).delivered()) {
      merging.send(misreading.shard(shard));
    }
    merging.end();
    return merging;
  }

  /** What is not as it must be, each in one line that says which composition it was. */
  static List<String> differences(Composition composition, Misreading misreading) {
    Conformance conformance = new Conformance(composition);
    conformance.judge(merged(composition, misreading, null));
    return conformance.differences;
  }

  private void judge(Merging merging) {
    equal("rejections", List.of(), merging.rejections);
    // A micro-batch that comes after its step is late, and changes nothing.
    long fates =
        Stream.of(ShardFate.MERGED, ShardFate.DUPLICATE, ShardFate.LATE)
            .mapToLong(fate -> merging.fates.getOrDefault(fate, 0L))
            .sum();
    equal("known fates", merging.fates.getOrDefault(ShardFate.RECEIVED, 0L), fates);
    for (Composition.Model model : composition.models()) {
      for (long number : composition.steps()) {
        List<Step> published =
            merging.steps.stream()
                .filter(s -> s.id().step() == number)
                .filter(s -> s.manifestId() == model.run().manifest().manifestId())
                .toList();
        boolean anybody =
            IntStream.range(0, composition.worldSize())
                .anyMatch(rank -> reports(model, rank, number));
        equal("times step " + number + " is published", anybody ? 1 : 0, published.size());
        published.forEach(step -> judge(model, step));
      }
    }
  }

  private boolean reports(Composition.Model model, int rank, long step) {
    return rank != composition.absent()
        && (composition.isDue(model, Stage.REDUCED, rank, step)
            || composition.isDue(model, Stage.LOCAL, rank, step));
  }

  private void judge(Composition.Model model, Step step) {
    long number = step.id().step();
    KnownGradient gradient = new KnownGradient(composition, number);
    List<Expectation> expectations = new ArrayList<>();
    List<Integer> incomplete = new ArrayList<>();
    List<Double> completeness = new ArrayList<>();
    double squares = 0;
    boolean reduced =
        model.run().manifest().reporting().stream()
            .anyMatch(r -> r.stage() == Stage.REDUCED && number % r.every() == 0);
    for (int layer = 0; layer < model.tensors().size(); layer++) {
      Tensor tensor = model.tensors().get(layer);
      Expectation expected = Expectation.of(composition, gradient, model, tensor, number);
      expectations.add(expected);
      judge("step " + number + " " + tensor.layer().name() + " ", expected, step, layer);
      if (!tensor.isOptional()) {
        squares += expected.refusal() == null ? expected.l2() * expected.l2() : Double.NaN;
      }
      boolean owed =
          reduced && !tensor.isPartial() && !(tensor.isOptional() && expected.received() == 0);
      if (owed && expected.received() < tensor.elements()) {
        incomplete.add(layer);
        completeness.add((double) expected.received() / tensor.elements());
      }
    }
    close("global norm of step " + number, Math.sqrt(squares), step.globalNorm());
    equal(
        "incomplete layers",
        incomplete,
        step.incompleteLayers() == null ? List.of() : boxed(step.incompleteLayers()));
    equal(
        "completeness",
        completeness,
        step.incompleteCompleteness() == null
            ? List.of()
            : Arrays.stream(step.incompleteCompleteness()).boxed().toList());
    judgeRanks(model, gradient, step);
    new SignalConformance(
            composition,
            model,
            gradient,
            step,
            expectations,
            (what, wanted, actual) -> differ("step " + number + " " + what, wanted, actual))
        .judge();
  }

  private void judge(String what, Expectation expected, Step step, int layer) {
    NormColumns norms = step.norms();
    boolean refused = expected.refusal() != null;
    equal(
        what + "refusal",
        Optional.ofNullable(expected.refusal()),
        Optional.ofNullable(refusal(norms.refusals(), layer)));
    double l1 = norms.l1() == null ? Double.NaN : norms.l1()[layer];
    close(what + "l1", refused ? Double.NaN : expected.l1(), l1);
    close(what + "l2", refused ? Double.NaN : expected.l2(), norms.l2()[layer]);
    close(what + "linf", refused ? Double.NaN : expected.linf(), norms.linf()[layer]);
    close(what + "rms", refused ? Double.NaN : expected.rms(), norms.rms()[layer]);
    long zeros = norms.zeros() == null ? -1 : norms.zeros()[layer];
    if (expected.refusal() == Refusal.PARTIAL || expected.refusal() == Refusal.NOT_RECEIVED) {
      close(what + "finiteL2", Double.NaN, norms.finiteL2()[layer]);
      equal(what + "zeros", -1L, zeros);
      equal(what + "non-finite", List.of(0L, 0L, 0L), nonFinite(norms.nonFinite(), layer));
      return;
    }
    Expectation.Finite finite = expected.finite();
    close(what + "finiteL2", finite.l2(), norms.finiteL2()[layer]);
    equal(what + "zeros", finite.zeros(), zeros);
    equal(
        what + "non-finite",
        List.of(finite.nans(), finite.posInfs(), finite.negInfs()),
        nonFinite(norms.nonFinite(), layer));
  }

  private static Refusal refusal(Refusals refusals, int layer) {
    int at = refusals == null ? -1 : Arrays.binarySearch(refusals.layers(), layer);
    return at < 0 ? null : refusals.reasons().get(at);
  }

  private static List<Long> nonFinite(NonFinite bad, int layer) {
    int at = bad == null ? -1 : Arrays.binarySearch(bad.layers(), layer);
    return at < 0
        ? List.of(0L, 0L, 0L)
        : List.of(bad.nans()[at], bad.posInfs()[at], bad.negInfs()[at]);
  }

  /** The ranks' own gradients are compared, never added up to a norm. */
  private void judgeRanks(Composition.Model model, KnownGradient gradient, Step step) {
    long number = step.id().step();
    List<Integer> reporting = new ArrayList<>();
    List<Integer> missing = new ArrayList<>();
    double[] layerSquares = new double[model.tensors().size()];
    for (int rank = 0; rank < composition.worldSize(); rank++) {
      boolean local = composition.isDue(model, Stage.LOCAL, rank, number);
      if (!local && !composition.isDue(model, Stage.REDUCED, rank, number)) {
        continue;
      }
      if (rank == composition.absent()) {
        missing.add(rank);
        continue;
      }
      reporting.add(rank);
      int at = Arrays.binarySearch(step.evidence().ranks(), rank);
      double squares = 0;
      for (int layer = 0; local && layer < layerSquares.length; layer++) {
        double square = localSquare(gradient, model.tensors().get(layer), rank);
        squares += square;
        layerSquares[layer] += square;
      }
      close(
          "step " + number + " local norm of rank " + rank,
          local ? Math.sqrt(squares) : Double.NaN,
          at < 0 ? Double.NaN : step.evidence().localNorm()[at]);
    }
    equal("reporting ranks", reporting, boxed(step.evidence().ranks()));
    equal("missing ranks", missing, boxed(step.missingRanks()));
    for (int layer = 0;
        step.evidence().localSquares() != null && layer < layerSquares.length;
        layer++) {
      close(
          "step " + number + " local squares of " + model.tensors().get(layer).layer().name(),
          layerSquares[layer],
          step.evidence().localSquares()[layer]);
    }
  }

  private double localSquare(KnownGradient gradient, Tensor tensor, int rank) {
    if (!tensor.reported()) {
      return 0;
    }
    int[] coords = composition.coords(rank);
    Tensor.Slice slice = tensor.slice(Stage.LOCAL, coords);
    float[] held = gradient.held(tensor, Stage.LOCAL, coords, composition.accumSteps() - 1);
    double squares = 0;
    for (int i = slice.from(); i < slice.to(); i++) {
      double value = held[i] / gradient.scale(Stage.LOCAL);
      squares += Double.isFinite(value) ? value * value : 0;
    }
    return squares;
  }

  private static List<Integer> boxed(int[] values) {
    return Arrays.stream(values).boxed().toList();
  }

  private void close(String what, double expected, double actual) {
    boolean alike =
        Double.isNaN(expected)
            ? Double.isNaN(actual)
            : Math.abs(actual - expected) <= 2 * tolerance * expected;
    if (!alike) {
      differ(what, expected, actual);
    }
  }

  private void equal(String what, Object expected, Object actual) {
    if (!expected.equals(actual)) {
      differ(what, expected, actual);
    }
  }

  private void differ(String what, Object expected, Object actual) {
    differences.add(what + ": expected " + expected + ", got " + actual + "; " + composition);
  }
}
