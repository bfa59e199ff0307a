package io.gradflow.cli;

import static io.gradflow.cli.RunSnapshot.LayerTrace.MISSING;
import static io.gradflow.cli.RunSnapshot.LayerTrace.NON_FINITE;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class LiveViewTest {
  private static final double ZERO = Double.NEGATIVE_INFINITY;
  private static final double NONE_YET = Double.NaN;

  private final LiveView plain = new LiveView(false);

  @Test
  void showsEveryLayerWithItsNormItsChangeAndItsSteps() {
    RunSnapshot run =
        SnapshotOf.aRun()
            .complete(.9999)
            .norm(NON_FINITE)
            .layer("b0", "quiet", -2, -2.0, -2.1, -1.9)
            .layer("b0", "growing", -2, -2.0, 0.0, 2.5)
            .layer("b1", "shrinking", -2, -2.0, -4.0, -12.0)
            .layer("b1", "broken", -2, -2.0, NON_FINITE)
            .layer("b2", "dead", -2, -2.0, ZERO)
            .layer("b2", "absent", -2, -2.0, MISSING)
            .layer("b2", "young", NONE_YET, -3.0, -3.0)
            .opened("NON_FINITE", "critical", "b1.broken", 118, "NaN in b1.broken")
            .resolved("EXPLODING_SPIKE", "b0.quiet", 40, 58, "A jump of b0.quiet")
            .now();
    assertThat(String.join("\n", plain.frame(run, 78, 20)) + "\n")
        .isEqualTo(
            """
            gradflow  demo-1  exploding                                               1:15
            step 120/300  38.3/s  loss 1.235  norm NaN/Inf  complete 99.9 %  dropped 0
            page http://127.0.0.1:8080  Flink http://127.0.0.1:8081
              by depth     log2 norm  change  -4    octaves   +4 last steps, newest right
              b0.quiet          -1.9    +0.1          |                                ▄▄▄
              b0.growing         2.5    +4.5          |███████▶                        ▄▇█
              b1.shrinking     -12.0   -10.0  ◀▒▒▒▒▒▒▒|                                ▄▃▁
            > b1.broken      NaN/Inf                  |XXXXXXXX                         ▄X
              b2.dead           zero          ◀▒▒▒▒▒▒▒|                                 ▄_
              b2.absent      missing                  |                                 ▄·
              b2.young          -3.0                  |                                 ▄▄
            ▁▄█ -4 to +4 octaves from its baseline  X NaN or Inf  _ zero  · missing  > in\s
            incidents  1 open, 1 resolved
            ● critical NON_FINITE  open since step 118 (2 steps)
                NaN in b1.broken
            ○ warning EXPLODING_SPIKE  steps 40 to 58, resolved
                A jump of b0.quiet
            """);
  }

  @Test
  void adviceComesAfterWhatIsWrongAndMarksNoLayer() {
    RunSnapshot run =
        SnapshotOf.aRun()
            .layer("b0", "slow", -2, -2.0)
            .resolved("EXPLODING_SPIKE", "b0.slow", 40, 58, "A jump of b0.slow.")
            .advised("ADVICE_LEARNING_RATE", "b0.slow", 90, "It is slow.", "Make it fast.")
            .opened("NON_FINITE", "critical", "b1.broken", 118, "NaN in b1.broken.")
            .now();

    List<String> frame = plain.frame(run, 78, 40);

    assertThat(frame).anyMatch(line -> line.startsWith("  b0.slow"));
    assertThat(frame.subList(frame.size() - 7, frame.size()))
        .containsExactly(
            "incidents  1 open, 1 resolved, advice 1",
            "● critical NON_FINITE  open since step 118 (2 steps)",
            "    NaN in b1.broken.",
            "◇ info ADVICE_LEARNING_RATE  open since step 90 (30 steps)",
            "    It is slow. Make it fast.",
            "○ warning EXPLODING_SPIKE  steps 40 to 58, resolved",
            "    A jump of b0.slow.");
  }

  @Test
  void anIncidentSaysItsCauseAndTellsWhatHappened() {
    RunSnapshot run =
        SnapshotOf.aRun()
            .layer("b7", "weight", -2, -2.0)
            .because("optimiser", "Learning rate ×60 observed at step 80, b7.weight ×50 at 81.")
            .opened("EXPLODING_SPIKE", "critical", "b7.weight", 81, "A jump of b7.weight.")
            .now();

    List<String> frame = plain.frame(run, 72, 40);

    assertThat(frame.subList(frame.size() - 4, frame.size()))
        .containsExactly(
            "incidents  1 open, 0 resolved",
            "● critical EXPLODING_SPIKE (optimiser)  open since step 81 (39 steps)",
            "    A jump of b7.weight. Learning rate ×60 observed at step 80,",
            "    b7.weight ×50 at 81.");
  }

  @Test
  void neverExceedsTheTerminal() {
    RunSnapshot run = LiveViewShow.imagined(40, 200);
    for (int width = 1; width <= 160; width += 3) {
      for (int height = 1; height <= 60; height += 7) {
        List<String> frame = plain.frame(run, width, height);
        assertThat(frame).hasSizeLessThanOrEqualTo(height);
        int columns = width;
        assertThat(frame).allSatisfy(line -> assertThat(line).hasSizeLessThanOrEqualTo(columns));
      }
    }
  }

  @Test
  void foldsLayersIntoBlocksAndBlocksIntoSpansWithoutHidingWhatIsBroken() {
    SnapshotOf run = SnapshotOf.aRun();
    for (int block = 0; block < 10; block++) {
      for (String kind : List.of("weight", "bias")) {
        boolean broken = block == 7 && kind.equals("bias");
        run.layer("block" + block, kind, 0, 0.0, broken ? NON_FINITE : 0.0, 0.0);
      }
    }
    run.opened("NON_FINITE", "critical", "block7.bias", 119, "NaN in block7.bias");

    List<String> blocks = rows(plain.frame(run.now(), 80, 18));
    assertThat(blocks).hasSize(10);
    assertThat(blocks.get(7)).startsWith("> 2× block7").endsWith("▄X▄");
    assertThat(blocks.get(6)).startsWith("  2× block6").endsWith("▄▄▄");

    List<String> spans = rows(plain.frame(run.now(), 80, 13));
    assertThat(spans).hasSize(5);
    assertThat(spans.get(3)).startsWith("> 4× block6.weight").endsWith("▄X▄");
  }

  @Test
  void aLongSentenceGoesOnInTheNextLine() {
    assertThat(LiveView.wrapped("one two three", 8)).containsExactly("one two", "three");
    assertThat(LiveView.wrapped("unbreakable", 4)).containsExactly("unbr", "eaka", "ble");
  }

  @Test
  void stylesChangeNothingButTheStyle() {
    RunSnapshot run = LiveViewShow.imagined(14, 200);
    List<String> styled = new LiveView(true).frame(run, 120, 40);
    assertThat(String.join("", styled)).contains("\033[1;7mX");
    assertThat(styled.stream().map(line -> line.replaceAll("\033\\[[0-9;]*m", "")))
        .containsExactlyElementsOf(plain.frame(run, 120, 40));
  }

  @Test
  void aRunsNameCannotSteerTheTerminal() {
    RunSnapshot run = SnapshotOf.aRun().named("a\033]0;b\007\u202Ec\n").now();
    assertThat(plain.frame(run, 80, 20).get(0)).contains("a?]0;b??c?");
  }

  /** The lines between the column titles and the legend. */
  private static List<String> rows(List<String> frame) {
    return frame.subList(4, frame.size() - 4);
  }
}
