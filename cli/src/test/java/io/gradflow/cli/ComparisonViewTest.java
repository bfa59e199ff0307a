package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.compare.Comparison;
import org.junit.jupiter.api.Test;

class ComparisonViewTest {
  private static final String[] LAYERS = {
    "embed", "encoder.0.weight", "encoder.1.weight", "decoder.0.weight", "decoder.1.weight", "head"
  };

  private final ComparisonView plain = new ComparisonView(false);

  @Test
  void drawsEveryLayerByDepthAndSaysWhatChanged() {
    DrawnRun run = new DrawnRun("gpt-small", 1, LAYERS);
    ComparedSpan before = run.span(run.steps(1, 100, 199));
    run.learningRate(0.05)
        .shift("decoder.0.weight", -1)
        .shift("decoder.1.weight", -1.5)
        .shift("embed", Double.NaN)
        .shift("head", Double.NEGATIVE_INFINITY);
    ComparedSpan after = run.span(run.steps(1, 200, 299));

    assertThat(text(plain, before, after, 110, 40))
        .isEqualTo(
            """
            Learning rate ×0.5 (0.1 to 0.05): the gradients of decoder.* fell by 1.23 octaves (×0.426) on average, most
            decoder.1.weight by 1.46; 2 of 4 layers changed; 2 layers, embed the first, have a gradient to measure in one
            of the two only.
            before  gpt-small  steps 100 to 199 (100)
            after   gpt-small  steps 200 to 299 (100)

              the run            before      after     change    ± error
            * loss                0.854     0.7563   -0.09766  0.0001904
            * learning rate         0.1       0.05       ×0.5         ×1
              batch                  32         32         ×1         ×1
              global norm        0.3036          -          -          -
              depth, before  ×1.00 per layer toward the input, +0.03 octaves in all

              by depth         log2 RMS   after  change ± error -2    octaves   +2
              embed               -7.99 NaN/Inf                          |         0+100 steps left out
              encoder.0.weight    -7.99   -8.00   -0.01    0.01          |
              encoder.1.weight    -8.00   -8.01   -0.00    0.01          |
            * decoder.0.weight    -7.99   -8.99   -1.00    0.01      ▒▒▒▒|
            * decoder.1.weight    -8.02   -9.48   -1.46    0.01    ▒▒▒▒▒▒|
              head                -8.01    zero                          |         0+100 steps left out
            * more than noise from step to step
            * zero fraction of 1 layer, most head: 0 to 1
            """);
  }

  @Test
  void drawsTheLayersThatDifferMostAndSaysThatThereAreMore() {
    DrawnRun run = new DrawnRun("run", 2, LAYERS);
    ComparedSpan before = run.span(run.steps(1, 0, 63));
    run.shift("decoder.0.weight", 0.3).shift("head", 20);
    ComparedSpan after = run.span(run.steps(1, 64, 127));

    assertThat(text(plain, before, after, 80, 2))
        .isEqualTo(
            """
            The gradients of 2 layers rose by 10.2 octaves (×1.14e+03) on average, most head
            by 20; 2 of 6 layers changed.
            before  run  steps 0 to 63 (64)
            after   run  steps 64 to 127 (64)

              the run            before      after     change    ± error
            * loss               0.9692     0.9067    -0.0625          0
              learning rate         0.1        0.1         ×1         ×1
              batch                  32         32         ×1         ×1
            * global norm        0.3031  1.284e+05 ×4.237e+05     ×1.011
              depth, before  ×1.00 per layer toward the input, +0.01 octaves in all
              depth, after   ×0.14 per layer toward the input, -14.32 octaves in all

              by depth         log2 RMS   after  change ± error -16   octaves  +16
            * decoder.0.weight    -8.01   -7.71   +0.30    0.02          |
            * head                -8.01   11.99  +20.00    0.02          |███████▶
            * more than noise from step to step  4 layers that differ less are not drawn, se
            """);
    assertThat(text(plain, before, after, 80, 0)).doesNotContain("by depth");
  }

  @Test
  void aLayerIsComparedWithItsNamesakeAndOthersAreListed() {
    DrawnRun small = new DrawnRun("small", 3, "in", "mid", "out");
    DrawnRun other = new DrawnRun("other", 4, "in", "norm\u001b[2J", "out");

    String text =
        text(
            plain,
            small.span(small.steps(1, 0, 63)),
            other.span(other.steps(1, 0, 9)),
            Integer.MAX_VALUE,
            40);

    assertThat(text)
        .contains(
            "only before: mid\n", "only after: norm?[2J\n", "before  small  steps 0 to 63 (64)")
        .startsWith("No layer has the 50 complete, finite and nonzero steps on either side");
  }

  @Test
  void neverExceedsTheTerminalAndStylesChangeNothingButTheStyle() {
    DrawnRun run = new DrawnRun("a\033]0;b\007 " + "long ".repeat(30), 5, LAYERS);
    ComparedSpan before = run.span(run.steps(1, 0, 63));
    run.shift("decoder.0.weight", -3).shift("embed", Double.NaN);
    ComparedSpan after = run.span(run.steps(1, 64, 127));
    for (int width = 1; width < 160; width += 7) {
      String text = text(plain, before, after, width, 40);
      int columns = width;
      assertThat(text.lines())
          .allSatisfy(line -> assertThat(line).hasSizeLessThanOrEqualTo(columns));
      assertThat(
              text(new ComparisonView(true), before, after, width, 40)
                  .lines()
                  .map(line -> line.replaceAll("\033\\[[0-9;]*m", "").stripTrailing()))
          .containsExactlyElementsOf(text.lines().map(String::stripTrailing).toList());
    }
    assertThat(text(new ComparisonView(true), before, after, 120, 40))
        .contains("\033[1;7mNaN/Inf")
        .doesNotContain("\007", "\033]");
  }

  private static String text(
      ComparisonView view, ComparedSpan before, ComparedSpan after, int width, int shown) {
    Comparison comparison = Comparison.of(before.statistics(), after.statistics());
    return String.join("\n", view.lines(before, after, comparison, width, shown)) + "\n";
  }
}
