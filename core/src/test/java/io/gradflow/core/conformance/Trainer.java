package io.gradflow.core.conformance;

import io.gradflow.core.shard.Stage;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/** The norms that ranks of a training can compute of a known gradient, right and wrong ones. */
final class Trainer {
  private final Composition composition;
  private final KnownGradient gradient;
  private final double norm;
  private final Map<Stage, double[]> ofRanks = new EnumMap<>(Stage.class);

  Trainer(Composition composition, KnownGradient gradient) {
    this.composition = composition;
    this.gradient = gradient;
    norm = norm(tensor -> !tensor.isOptional());
    for (Stage stage : Stage.values()) {
      ofRanks.put(
          stage,
          IntStream.range(0, composition.worldSize())
              .mapToDouble(rank -> ofRank(stage, rank))
              .toArray());
    }
  }

  Composition composition() {
    return composition;
  }

  /** What is declared as loss scale. */
  double lossScale() {
    return gradient.scale(Stage.LOCAL);
  }

  /** Of the whole reduced gradient. */
  double norm() {
    return norm;
  }

  /** Of the reduced gradient of some layers. */
  double norm(Predicate<Tensor> of) {
    return Math.sqrt(
        composition.models().stream()
            .flatMap(model -> model.tensors().stream())
            .filter(of)
            .flatMapToDouble(tensor -> Arrays.stream(gradient.reduced(tensor)))
            .map(value -> value * value)
            .sum());
  }

  /** Of what a rank itself holds at a stage. */
  double norm(Stage stage, int rank) {
    return ofRanks.get(stage)[rank];
  }

  private double ofRank(Stage stage, int rank) {
    int[] coords = composition.coords(rank);
    double squares = 0;
    for (Composition.Model model : composition.modelsOf(rank)) {
      for (Tensor tensor : model.tensors()) {
        if (tensor.reported()) {
          Tensor.Slice slice = tensor.slice(stage, coords);
          float[] held = gradient.held(tensor, stage, coords, composition.accumSteps() - 1);
          for (int i = slice.from(); i < slice.to(); i++) {
            double value = held[i] / gradient.scale(stage);
            squares += value * value;
          }
        }
      }
    }
    return Math.sqrt(squares);
  }

  /** The root of the sum of these squares over the ranks that differ along these dimensions. */
  double norm(Stage stage, int rank, Set<String> axes) {
    int[] own = composition.coords(rank);
    double squares = 0;
    for (int other = 0; other < composition.worldSize(); other++) {
      int[] coords = composition.coords(other);
      boolean member = true;
      for (int axis = 0; axis < own.length; axis++) {
        member &= coords[axis] == own[axis] || axes.contains(composition.mesh().get(axis).name());
      }
      if (member) {
        double norm = norm(stage, other);
        squares += norm * norm;
      }
    }
    return Math.sqrt(squares);
  }
}
