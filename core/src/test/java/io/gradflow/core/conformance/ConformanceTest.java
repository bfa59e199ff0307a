package io.gradflow.core.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Whatever the layout and however it is published: each norm is exact, or refused with its reason,
 * and each signal is right, or unknown.
 */
class ConformanceTest {
  private static final int COMPOSITIONS = 400;
  private static final int COMPOSITIONS_TO_NOTICE = 40;

  @Test
  void whatComesOutIsThatOfTheKnownGradientOrRefused() {
    List<String> differences = new ArrayList<>();
    for (long seed = 0; seed < COMPOSITIONS; seed++) {
      differences.addAll(Conformance.differences(Composition.of(seed), Misreading.NONE));
    }
    assertThat(differences).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
  void aMisreadingIsNoticed(Misreading misreading) {
    assertThat(
            LongStream.range(0, COMPOSITIONS_TO_NOTICE)
                .mapToObj(seed -> Conformance.differences(Composition.of(seed), misreading))
                .flatMap(List::stream)
                .filter(difference -> difference.contains("norm") || difference.contains("l2"))
                .findFirst())
        .isPresent();
  }

  @Test
  void everyIngredientIsDrawnOften() {
    List<Composition> drawn = LongStream.range(0, COMPOSITIONS).mapToObj(Composition::of).toList();
    Map<String, Predicate<Composition>> ingredients = new LinkedHashMap<>();
    ingredients.put("two rank groups", c -> c.worldSize() > Layout.GROUP_SIZE);
    for (String axis : List.of("pp", "dp_replicate", "dp_shard", "cp", "ep", "tp")) {
      ingredients.put(axis, c -> c.axis(axis) >= 0 && c.mesh().get(c.axis(axis)).size() > 1);
    }
    ingredients.put("manifest per pipeline stage", c -> c.models().size() > 1);
    ingredients.put("accumulation", c -> c.accumSteps() > 1 && c.microBatches());
    ingredients.put("loss scale", c -> c.lossScales().get(0) != null);
    ingredients.put("tied", c -> any(c, t -> t.layer().tiedTo() != null && !t.isPartial()));
    ingredients.put("unreduced tie", c -> any(c, t -> t.layer().tiedTo() != null && t.isPartial()));
    ingredients.put("partial", c -> any(c, t -> t.summands(Stage.REDUCED) > 1));
    ingredients.put("frozen", c -> any(c, t -> !t.layer().trainable()));
    ingredients.put("clipped", c -> c.clipCoef() != null);
    ingredients.put("absent rank", c -> c.absent() >= 0);
    ingredients.put("not finite", Composition::bad);
    ingredients.put("REDUCED alone", c -> c.every() > 0 && !c.local());
    ingredients.put("LOCAL alone", c -> c.every() == 0);
    ingredients.put("both", c -> c.every() > 0 && c.local());
    for (Composition.Form form : Composition.Form.values()) {
      ingredients.put(form.name(), c -> c.form() == form);
    }
    for (Composition.Signal signal : Composition.Signal.values()) {
      ingredients.put(
          signal.name(), c -> c.signals().contains(signal) && c.form() == Composition.Form.COLUMNS);
    }
    for (Tensor.Cut cut : Tensor.Cut.values()) {
      ingredients.put(cut.name(), c -> any(c, t -> t.cut() == cut));
    }
    ingredients.forEach(
        (name, is) -> assertThat(drawn.stream().filter(is)).as(name).hasSizeGreaterThan(10));
  }

  private static boolean any(Composition composition, Predicate<Tensor> is) {
    return composition.models().stream().flatMap(m -> m.tensors().stream()).anyMatch(is);
  }
}
