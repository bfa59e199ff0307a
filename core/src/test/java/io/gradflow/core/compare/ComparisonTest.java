package io.gradflow.core.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ComparisonTest {
  private static final int TRIALS = 300;

  /**
   * Independent layers, which are the worst case of Holm's bound. Of 300 comparisons with a chance
   * of at most .01 more than 9 name a layer once in a thousand.
   */
  @ParameterizedTest
  @CsvSource({"0, 50", "0.5, 50", "0.5, 400", "0.9, 100", "0.9, 400", "0.97, 400"})
  void withoutChangeOneComparisonInAHundredNamesALayer(double phi, int length) {
    int wrong = 0;
    int singlyUnlikely = 0;
    for (int seed = 0; seed < TRIALS; seed++) {
      Comparison comparison =
          new TwoSpans(seed, phi).steps(2 * length, UnaryOperator.identity()).at(length);
      wrong += comparison.changed().isEmpty() ? 0 : 1;
      for (LayerChange layer : comparison.layers()) {
        singlyUnlikely += layer.rms().p() < 0.05 ? 1 : 0;
      }
    }
    assertThat(wrong).isLessThanOrEqualTo(9);
    // The bound is kept without being empty: a test that never rejects could not find anything.
    assertThat(singlyUnlikely / (TRIALS * 16.0)).isBetween(0.01, 0.055);
  }

  @ParameterizedTest
  @CsvSource({"0, 100", "0.5, 100", "0.9, 1000"})
  void theStandardErrorIsThatOfTheMeanOfADependentSeries(double phi, int length) {
    double squares = 0;
    double variances = 0;
    int means = 0;
    for (int seed = 0; seed < 100; seed++) {
      var run = new TwoSpans(seed, phi).steps(length, UnaryOperator.identity());
      Comparison comparison = Comparison.of(run.span(0, length), run.span(0, length));
      for (LayerChange layer : comparison.layers()) {
        squares += Math.pow(layer.rms().before().standardError(), 2);
        variances += Math.pow(layer.rms().before().scatter(), 2);
        means++;
      }
    }
    double truth = TwoSpans.SCATTER * TwoSpans.SCATTER * (1 + phi) / (1 - phi) / length;
    // Rather too large than too small.
    assertThat(squares / means).isBetween(truth, 2 * truth);
    assertThat(variances / means).isCloseTo(TwoSpans.SCATTER * TwoSpans.SCATTER, within(0.004));
  }

  @Test
  void halfAnOctaveInOneLayerIsFoundAndNamed() {
    int found = 0;
    for (int seed = 0; seed < 100; seed++) {
      Comparison comparison =
          new TwoSpans(seed, 0.5)
              .steps(100, UnaryOperator.identity())
              .steps(100, draft -> draft.raise("block3.weight", 0.5))
              .at(100);
      LayerChange most = comparison.mostDifferent();
      assertThat(most.layer().name()).as("seed %d", seed).isEqualTo("block3.weight");
      assertThat(most.rms().difference()).isCloseTo(0.5, within(0.3));
      found += most.rms().isSignificant() ? 1 : 0;
    }
    // The difference is 10 of its standard errors, and Student's tail with few degrees is long.
    assertThat(found).isGreaterThanOrEqualTo(95);
  }

  @Test
  void aSentenceNamesTheBlockTheDirectionAndTheLearningRate() {
    var run = new TwoSpans(1, 0).steps(50, 0.1);
    assertThat(run.steps(50, 0.1).at(50).sentence())
        .matches(
            "No layer's gradient changed by more than its noise, of 16 compared; the largest difference is -?0\\.\\d+ octaves, of block\\d\\.(weight|bias)\\.");

    assertThat(new TwoSpans(1, 0).steps(50, 0.1).steps(50, 0.05).at(50).sentence())
        .startsWith("Learning rate ×0.5 (0.1 to 0.05): no layer's gradient changed");

    assertThat(shifted("block3.weight", -1, "block3.bias", -1).at(50).sentence())
        .matches(
            "The gradients of block3\\.\\* fell by (1|0\\.9\\d*|1\\.0\\d*) octaves \\(×0\\.\\d+\\) on average, most block3\\.(weight|bias) by [01]\\.?\\d*; 2 of 16 layers changed\\.");

    assertThat(shifted("block3.weight", -1, "block5.weight", 2).at(50).sentence())
        .matches(
            "The gradient of block5\\.weight rose by [\\d.]+ octaves \\(×[34][\\d.]*\\); the gradient of block3\\.weight fell by [\\d.]+ octaves \\(×0\\.\\d+\\); 2 of 16 layers changed\\.");

    assertThat(
            new TwoSpans(2, 0)
                .steps(50, UnaryOperator.identity())
                .steps(50, draft -> draft.raiseAll(1))
                .at(50)
                .sentence())
        .startsWith("The gradients of all layers rose by ")
        .endsWith("; 16 of 16 layers changed.");
  }

  private static TwoSpans shifted(String one, double octaves, String other, double otherOctaves) {
    return new TwoSpans(2, 0)
        .steps(50, UnaryOperator.identity())
        .steps(50, draft -> draft.raise(one, octaves).raise(other, otherOctaves));
  }

  /** Losses fall and norms with them all the time: that must not hide a difference of level. */
  @Test
  void aDriftOverASpanIsNoNoiseAboutItsLevel() {
    for (int seed = 0; seed < 50; seed++) {
      var run =
          new TwoSpans(seed, 0)
              .steps(100, draft -> draft.raise("block3.weight", -0.02 * draft.number()))
              .steps(100, draft -> draft.raise("block3.weight", -0.01 * draft.number()));
      Change change = layer(run.at(100), "block3.weight").rms();
      assertThat(change.difference()).isCloseTo(-0.505, within(0.15));
      assertThat(change.isSignificant()).as("seed %d", seed).isTrue();
      assertThat(change.before().scatter()).isGreaterThan(0.5);
    }
  }

  @Test
  void aJumpIntoASlowCurveIsLargeAndUnsettled() {
    Comparison comparison =
        new TwoSpans(9, 0)
            .steps(60, UnaryOperator.identity())
            .steps(
                60,
                draft -> draft.raise("block3.weight", 8 - Math.pow(draft.number() - 90.0, 2) / 500))
            .at(60);
    Change change = layer(comparison, "block3.weight").rms();
    assertThat(change.difference()).isGreaterThan(5);
    assertThat(change.isSignificant()).isFalse();
    assertThat(change.isUnsettled()).isTrue();
    assertThat(comparison.sentence()).endsWith(" of block3.weight, and longer spans would tell.");
  }

  @Test
  void aFewStepsAreComparedAndCalledTooFew() {
    Comparison comparison =
        new TwoSpans(3, 0)
            .steps(20, UnaryOperator.identity())
            .steps(100, draft -> draft.raise("block3.weight", 5))
            .at(20);
    assertThat(comparison.changed()).isEmpty();
    assertThat(comparison.mostDifferent().rms().difference()).isCloseTo(5, within(0.2));
    assertThat(comparison.mostDifferent().rms().standardError()).isNaN();
    assertThat(comparison.sentence())
        .startsWith("No layer has the 50 complete, finite and nonzero steps on either side")
        .endsWith("octaves, of block3.weight.");
  }

  @Test
  void stepsOfALayerThatSayNothingOfItsMagnitudeAreLeftOutAndCounted() {
    var run =
        new TwoSpans(4, 0)
            .steps(40, UnaryOperator.identity())
            .steps(3, draft -> draft.nan(1, "block0.weight"))
            .steps(5, draft -> draft.raise("block1.weight", -9).incomplete("block1.weight", 0.5))
            .steps(4, draft -> draft.incomplete("block2.weight", 0.95))
            .steps(2, draft -> draft.dead("block3.weight"))
            .steps(6, draft -> draft.unmeasured());
    Comparison comparison = Comparison.of(run.span(0, 59), run.span(0, 59));

    assertThat(layer(comparison, "block0.weight").leftOutBefore())
        .isEqualTo(new LeftOut(0, 3, 0, 6));
    assertThat(layer(comparison, "block1.weight").leftOutAfter())
        .isEqualTo(new LeftOut(5, 0, 0, 6));
    assertThat(layer(comparison, "block2.weight").leftOutAfter())
        .isEqualTo(new LeftOut(0, 0, 0, 6));
    assertThat(layer(comparison, "block3.weight").leftOutAfter())
        .isEqualTo(new LeftOut(0, 0, 2, 6));
    assertThat(layer(comparison, "block1.weight").rms().before().steps()).isEqualTo(49);
    assertThat(layer(comparison, "block1.weight").rms().before().mean()).isBetween(-8.5, -6.5);
    assertThat(comparison.run().get(RunMeasure.GLOBAL_NORM).before().steps()).isEqualTo(55);
    assertThat(comparison.sentence()).startsWith("No layer's gradient changed");
  }

  @Test
  void aLayerThatDiesShowsInItsZeros() {
    Comparison comparison =
        new TwoSpans(5, 0)
            .steps(50, UnaryOperator.identity())
            .steps(50, draft -> draft.dead("block3.weight"))
            .at(50);
    LayerChange dead = layer(comparison, "block3.weight");
    assertThat(comparison.sentence())
        .endsWith("; block3.weight has a gradient to measure in one of the two only.");
    assertThat(dead.rms().difference()).isNaN();
    assertThat(dead.leftOutAfter().zero()).isEqualTo(50);
    assertThat(dead.changes().get(Measure.ZERO_FRACTION).difference()).isEqualTo(1);
    assertThat(dead.changes().get(Measure.ZERO_FRACTION).isSignificant()).isTrue();
    assertThat(layer(comparison, "block2.weight").changes().get(Measure.ZERO_FRACTION).p())
        .isEqualTo(1);
  }

  @Test
  void theSlopeOverDepthIsThatOfTheWeights() {
    Comparison comparison =
        new TwoSpans(6, 0)
            .steps(64, UnaryOperator.identity())
            .steps(64, draft -> draft.slope(14))
            .at(64);
    assertThat(comparison.weightsByDepth())
        .extracting(weight -> weight.layer().name())
        .startsWith("block0.weight", "block1.weight")
        .hasSize(8);
    assertThat(comparison.depthAfter().slope() - comparison.depthBefore().slope())
        .isCloseTo(2, within(0.05));
  }

  @Test
  void orderAndCopiesOfStepsAndTheirPartsDoNotMatter() {
    var run = new TwoSpans(7, 0.5).steps(200, UnaryOperator.identity());
    List<Step> shuffled = new ArrayList<>();
    for (Step step : run.steps()) {
      shuffled.addAll(TwoSpans.split(step, 1 + (int) (step.id().step() % 15)));
      shuffled.add(shuffled.get(shuffled.size() - 1));
    }
    shuffled.addAll(shuffled.subList(30, 90));
    // Parts of a step come close to each other: what stays incomplete is forgotten at last.
    for (int from = 0; from < shuffled.size(); from += 50) {
      int to = Math.min(from + 50, shuffled.size());
      Collections.shuffle(shuffled.subList(from, to), new Random(from));
    }
    Comparison straight = run.at(100);
    Comparison mixed =
        Comparison.of(
            SpanStatistics.of(TwoSpans.LAYERS, run.timeline().span(0, 99), shuffled),
            SpanStatistics.of(TwoSpans.LAYERS, run.timeline().span(100, 199), shuffled));
    for (int i = 0; i < straight.layers().size(); i++) {
      Change expected = straight.layers().get(i).rms();
      Change actual = mixed.layers().get(i).rms();
      assertThat(actual.before().steps()).isEqualTo(100);
      assertThat(actual.difference()).isCloseTo(expected.difference(), within(1e-12));
      assertThat(actual.standardError()).isCloseTo(expected.standardError(), within(1e-12));
      assertThat(actual.familyP()).isCloseTo(expected.familyP(), within(1e-9));
    }
  }

  @Test
  void layersArePairedByNameAndOthersListed() {
    var run = new TwoSpans(8, 0).steps(60, UnaryOperator.identity());
    List<Layer> renamed = new ArrayList<>(TwoSpans.LAYERS);
    Layer old = renamed.get(3);
    renamed.set(
        3,
        new Layer(
            "block1.shift\n" + "x".repeat(200),
            old.block(),
            old.depth(),
            old.kind(),
            old.elements(),
            old.dtype(),
            true,
            false,
            false,
            null,
            old.placement()));
    Comparison comparison =
        Comparison.of(
            run.span(0, 59), SpanStatistics.of(renamed, run.timeline().all(), run.steps()));
    assertThat(comparison.layers()).hasSize(15);
    assertThat(comparison.onlyBefore()).containsExactly("block1.bias");
    assertThat(comparison.onlyAfter()).containsExactly(renamed.get(3).name());
    assertThat(comparison.sentence()).contains("of 15 compared");

    Comparison strangers =
        Comparison.of(
            SpanStatistics.of(renamed.subList(3, 4), run.timeline().all(), List.of()),
            run.span(0, 59));
    assertThat(strangers.sentence()).isEqualTo("The two have no layer of the same name.");
  }

  private static LayerChange layer(Comparison comparison, String name) {
    return comparison.layers().stream()
        .filter(layer -> layer.layer().name().equals(name))
        .findFirst()
        .orElseThrow();
  }
}
