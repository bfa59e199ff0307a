package io.gradflow.core.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * One bad step does not decide what is found later: a run with a step gone wrong and the same run
 * without it come to the same verdicts on a fault that begins 60 steps after.
 */
class LittleLastsTest {
  private static final int SEEDS = 4;
  private static final long WRONG = 200;
  private static final int FAULT = 260;
  private static final int END = 700;

  /** What goes wrong with the one step. */
  private enum Wrong {
    NAN(s -> s.nan(1, "block3.weight", "block2.weight")),
    INF(s -> s.nan(1, "block3.weight").loss(Double.POSITIVE_INFINITY)),
    ALL_ZERO(LittleLastsTest::zero),
    A_RANK_MISSING(s -> s.missing(2)),
    ITS_SLICES_MISSING(s -> incomplete(s.missing(2))),
    SKIPPED(s -> s.nan(0, "block6.weight").skipped());

    private final UnaryOperator<SimulatedRun.Draft> change;

    Wrong(UnaryOperator<SimulatedRun.Draft> change) {
      this.change = change;
    }
  }

  /** A fault that begins at a step, or goes on from there. */
  private record Fault(FindingKind kind, UnaryOperator<SimulatedRun.Draft> change) {}

  private static List<Fault> faults() {
    var faults = new ArrayList<Fault>();
    faults.add(new Fault(FindingKind.NON_FINITE, s -> s.nan(3, "block1.weight")));
    faults.add(
        new Fault(
            FindingKind.EXPLODING_SPIKE,
            s -> s.number() < FAULT + 4 ? s.raise("block5.weight", 6) : s));
    faults.add(new Fault(FindingKind.EXPLODING_SHIFT, s -> s.raise("block5.weight", 6)));
    faults.add(
        new Fault(
            FindingKind.EXPLODING_TREND,
            s -> s.raise("block5.weight", 0.05 * (s.number() - FAULT))));
    faults.add(
        new Fault(
            FindingKind.EXPLODING_TREND,
            s -> s.raise("block5.weight", 0.0081 * (s.number() - FAULT))));
    faults.add(
        new Fault(
            FindingKind.VANISHING_TREND,
            s -> s.raise("block5.weight", -0.05 * (s.number() - FAULT))));
    faults.add(new Fault(FindingKind.VANISHING_DEPTH, s -> s.slope(14)));
    faults.add(new Fault(FindingKind.EXPLODING_DEPTH, s -> s.slope(-9)));
    faults.add(new Fault(FindingKind.DEAD_LAYER, s -> s.dead("block4.weight")));
    faults.add(new Fault(FindingKind.DEAD_LAYER, s -> s.dead("block1.bias", "block2.bias")));
    faults.add(new Fault(FindingKind.MISSING_SHARDS, s -> s.missing(1)));
    faults.add(new Fault(FindingKind.CONTRACT, s -> s.contradicting(1)));
    faults.add(
        new Fault(
            FindingKind.UNDERFLOW,
            s -> s.zeros("block3.weight", 0.3).subnormals("block3.weight", 0.2)));
    faults.add(new Fault(FindingKind.OSCILLATION, s -> s.cosine(-0.9)));
    faults.add(
        new Fault(FindingKind.CLIP_SATURATION, s -> s.clipped(1, 0.95, 1.1).coefficient(0.05)));
    faults.add(new Fault(FindingKind.VANISHING_ABSOLUTE, s -> s.update("block4.weight", -20)));
    faults.add(
        new Fault(
            FindingKind.EXPLODING_ABSOLUTE,
            s -> {
              for (int i = 0; i < 8; i++) {
                s.weights("block" + i + ".weight", -12.5);
              }
              return s;
            }));
    return faults;
  }

  @ParameterizedTest
  @EnumSource
  void laterVerdictsAreTheSame(Wrong wrong) {
    var kinds = new TreeMap<FindingKind, Integer>();
    for (Fault fault : faults()) {
      for (long seed = 0; seed < SEEDS; seed++) {
        SimulatedRun undisturbed = run(seed, fault, UnaryOperator.identity());
        SimulatedRun disturbed = run(seed, fault, wrong.change);

        assertSame(fault, verdicts(disturbed), verdicts(undisturbed));
        assertSame(fault, verdicts(undisturbed), verdicts(disturbed));
        assertThat(undisturbed.findings().stream().filter(f -> f.onsetStep() >= FAULT - 150))
            .extracting(Finding::kind)
            .as("the fault is found")
            .contains(fault.kind());
        kinds.merge(fault.kind(), 1, Integer::sum);
      }
    }
    assertThat(kinds).hasSizeGreaterThan(13);
  }

  @ParameterizedTest
  @EnumSource
  void baselinesComeBack(Wrong wrong) {
    for (long seed = 0; seed < SEEDS; seed++) {
      Fault none = new Fault(null, UnaryOperator.identity());
      Baselines undisturbed = baselines(seed, none, UnaryOperator.identity());
      Baselines disturbed = baselines(seed, none, wrong.change);
      for (int i = 0; i < undisturbed.level().length; i++) {
        double s = Math.sqrt(undisturbed.variance()[i]);
        assertThat(disturbed.level()[i]).isCloseTo(undisturbed.level()[i], within(0.1 * s));
      }
    }
  }

  private static Baselines baselines(
      long seed, Fault fault, UnaryOperator<SimulatedRun.Draft> wrong) {
    var run = new SimulatedRun(seed, 0.2, manifest());
    steps(run, fault, wrong, (int) WRONG + 50);
    return run.trends().lanes().get(0).baselines();
  }

  private static SimulatedRun run(long seed, Fault fault, UnaryOperator<SimulatedRun.Draft> wrong) {
    var run = new SimulatedRun(seed, 0.2, manifest());
    steps(run, fault, wrong, END);
    return run;
  }

  private static void steps(
      SimulatedRun run, Fault fault, UnaryOperator<SimulatedRun.Draft> wrong, int count) {
    run.steps(
        count,
        s -> {
          SimulatedRun.Draft usual =
              s.updates().cosine(0.1).zeros("block3.weight", 0.1).subnormals("block3.weight", 0.05);
          return s.number() == WRONG
              ? wrong.apply(usual)
              : s.number() >= FAULT ? fault.change().apply(usual) : usual;
        });
  }

  /**
   * All that one run says, the other says too; where a threshold is crossed slowly, a step sooner
   * or later. A fault of all layers has half of them near some threshold: only its own kind is
   * compared, to the step.
   */
  private static void assertSame(
      Fault fault, Map<Long, Set<String>> some, Map<Long, Set<String>> others) {
    boolean everywhere = fault.kind().name().endsWith("_DEPTH");
    some.forEach(
        (step, said) -> {
          var near = new TreeSet<>(others.get(step));
          if (!everywhere) {
            near.addAll(others.getOrDefault(step - 1, Set.of()));
            near.addAll(others.getOrDefault(step + 1, Set.of()));
          }
          assertThat(said)
              .as(fault.kind() + " at step " + step)
              .allMatch(s -> everywhere && !s.startsWith(fault.kind().name()) || near.contains(s));
        });
  }

  /** By step from the fault on: kind, layer, rank and severity of all findings; what is active. */
  private static Map<Long, Set<String>> verdicts(SimulatedRun run) {
    var verdicts = new TreeMap<Long, Set<String>>();
    for (StepFindings verdict : run.verdicts()) {
      if (verdict.id().step() >= FAULT) {
        var said = new TreeSet<String>();
        verdict
            .findings()
            .forEach(
                f -> said.add(f.kind() + " " + f.layer() + " " + f.rank() + " " + f.severity()));
        verdict.active().forEach(kind -> said.add(kind + " active"));
        verdicts.put(verdict.id().step(), said);
      }
    }
    return verdicts;
  }

  /** A router with experts, and layers in half precision. */
  private static Manifest manifest() {
    return SimulatedRun.manifest(
        l -> {
          var half =
              SimulatedRun.dtype(l, l.name().equals("block3.weight") ? "float16" : "float32");
          return switch (l.name()) {
            case "block0.bias" -> SimulatedRun.kind(half, LayerKind.ROUTER, false);
            case "block1.bias", "block2.bias", "block3.bias", "block4.bias" ->
                SimulatedRun.kind(half, LayerKind.EXPERT, false);
            default -> half;
          };
        });
  }

  private static SimulatedRun.Draft zero(SimulatedRun.Draft draft) {
    for (int i = 0; i < 8; i++) {
      draft.dead("block" + i + ".weight", "block" + i + ".bias");
    }
    return draft;
  }

  private static SimulatedRun.Draft incomplete(SimulatedRun.Draft draft) {
    for (int i = 0; i < 8; i++) {
      draft.incomplete("block" + i + ".weight", 0.75).incomplete("block" + i + ".bias", 0.75);
    }
    return draft;
  }
}
