package io.gradflow.core.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.LayerTable;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.RunDetector;
import io.gradflow.core.detect.RunTrends;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The trainer's own norm against the known gradient: right ones pass, wrong ones are named. */
class SelfCheckTest {
  private static final int COMPOSITIONS = 400;
  private static final int FEWEST_WRONG = 10;
  private static final int MOST_WRONG = 15;

  /** A step is enough here: compositions have no more than three. */
  private static final DetectionPolicy AT_ONCE =
      DetectionPolicy.DEFAULT.with(
          new Rule("*", FindingKind.CONTRACT, 1, Rule.Mode.ENABLED, Map.of("normSteps", 1.0)));

  /** Of the compositions whose shards yield a norm of the model, at their first step. */
  private static List<Trainer> judged;

  @BeforeAll
  static void drawJudgedCompositions() {
    judged =
        LongStream.range(0, COMPOSITIONS)
            .mapToObj(Composition::of)
            .filter(SelfCheckTest::isJudged)
            .map(c -> new Trainer(c, new KnownGradient(c, c.firstStep())))
            .toList();
  }

  @AfterAll
  static void forget() {
    judged = null;
  }

  @Test
  void aRightNormIsNeverDoubted() {
    List<String> doubts = new ArrayList<>();
    for (long seed = 0; seed < COMPOSITIONS; seed++) {
      Composition composition = Composition.of(seed);
      for (Finding finding : findings(composition, TrainerMistake.NONE)) {
        doubts.add(finding.message() + " " + composition);
      }
    }
    assertThat(doubts).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
  void aWrongNormIsDetectedAndTheMistakeNamed(TrainerMistake mistake) {
    List<String> undetected = new ArrayList<>();
    List<String> unnamed = new ArrayList<>();
    int wrong = 0;
    for (Trainer trainer : judged) {
      Composition composition = trainer.composition();
      if (wrong == MOST_WRONG || !isWrong(trainer, mistake)) {
        continue;
      }
      wrong++;
      List<Finding> findings = findings(composition, mistake);
      if (findings.isEmpty()) {
        undetected.add(composition.toString());
      } else if (mistake.isTold(composition)
          && findings.stream().noneMatch(f -> mistake.isNamedIn(f.message()))) {
        unnamed.add(findings.get(0).message() + " " + composition);
      }
    }
    assertThat(wrong).isGreaterThanOrEqualTo(FEWEST_WRONG);
    assertThat(undetected).isEmpty();
    assertThat(unnamed).isEmpty();
  }

  /** Whether the shards of its steps yield a norm of the model. */
  private static boolean isJudged(Composition composition) {
    return composition.every() > 0
        && composition.absent() < 0
        && !composition.bad()
        && composition.models().stream()
            .flatMap(model -> model.tensors().stream())
            .noneMatch(tensor -> tensor.isPartial() && !tensor.isOptional());
  }

  /**
   * Whether what some rank of each model reports at the first step is off by more than the check
   * tolerates.
   */
  private static boolean isWrong(Trainer trainer, TrainerMistake mistake) {
    Composition composition = trainer.composition();
    long step = composition.firstStep();
    return composition.models().stream()
        .allMatch(
            model ->
                IntStream.range(0, composition.worldSize())
                    .filter(rank -> composition.isDue(model, Stage.REDUCED, rank, step))
                    .mapToDouble(rank -> mistake.norm(trainer, rank) / trainer.norm() - 1)
                    .anyMatch(error -> Math.abs(error) > 1.1e-3));
  }

  private static List<Finding> findings(Composition composition, TrainerMistake mistake) {
    Map<Long, LayerTable> tables = new HashMap<>();
    for (Composition.Model model : composition.models()) {
      LayerTable table = LayerTable.of(model.run().manifest());
      tables.put(table.manifestId(), table);
    }
    List<Finding> findings = new ArrayList<>();
    RunTrends trends = null;
    for (Step step : Conformance.merged(composition, Misreading.NONE, mistake).steps) {
      var judgement = RunDetector.judge(AT_ONCE, tables.get(step.manifestId()), trends, step);
      trends = judgement.state();
      judgement.findings().stream()
          .flatMap(verdict -> verdict.findings().stream())
          .filter(finding -> finding.kind() == FindingKind.CONTRACT)
          .forEach(findings::add);
    }
    return findings;
  }
}
