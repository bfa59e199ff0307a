package io.gradflow.cli;

import io.gradflow.cli.StyledLine.Style;
import io.gradflow.core.compare.Change;
import io.gradflow.core.compare.Comparison;
import io.gradflow.core.compare.Estimate;
import io.gradflow.core.compare.LayerChange;
import io.gradflow.core.compare.LeftOut;
import io.gradflow.core.compare.Measure;
import io.gradflow.core.compare.RunMeasure;
import io.gradflow.core.compare.Scale;
import io.gradflow.core.signal.DepthProfile;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Draws a comparison as lines of text: the sentence, the run's own numbers, and every layer from
 * the input on with a bar of how its gradient's magnitude changed. Pure.
 *
 * <p>All layers share one scale, so that rows compare. What is more than noise has a star, and
 * colour where there is any; what may be, a tilde; a name that is too long for the terminal is cut,
 * a file has it whole.
 */
final class ComparisonView {
  private static final int MOST_COLUMNS_OF_A_SENTENCE = 120;
  private static final int NAMES_SHOWN = 10;
  private static final double[] SPANS = {0.25, 0.5, 1, 2, 4, 8, 16};

  private final boolean styled;

  /**
   * @param styled whether lines hold ANSI styles
   */
  ComparisonView(boolean styled) {
    this.styled = styled;
  }

  /**
   * The lines.
   *
   * @param width columns no line exceeds
   * @param shown layers drawn at most, those that differ most
   */
  List<String> lines(
      ComparedSpan before, ComparedSpan after, Comparison comparison, int width, int shown) {
    List<String> lines = new ArrayList<>();
    for (String part :
        LiveView.wrapped(comparison.sentence(), Math.min(width, MOST_COLUMNS_OF_A_SENTENCE))) {
      lines.add(line(width).add(Style.STRONG, part).toString());
    }
    lines.add(side("before", before, width));
    lines.add(side("after", after, width));
    lines.add("");
    runMeasures(comparison, width, lines);
    depth("before", comparison.depthBefore(), comparison, width, lines);
    depth("after", comparison.depthAfter(), comparison, width, lines);
    if (shown > 0 && !comparison.layers().isEmpty()) {
      lines.add("");
      layers(comparison, width, shown, lines);
    }
    otherMeasures(comparison, width, lines);
    only("only before", comparison.onlyBefore(), width, lines);
    only("only after", comparison.onlyAfter(), width, lines);
    return lines;
  }

  private StyledLine line(int width) {
    return new StyledLine(width, styled);
  }

  private String side(String name, ComparedSpan span, int width) {
    return line(width)
        .addPadded(Style.FAINT, name, 8)
        .add(span.run())
        .add(Style.FAINT, "  " + span.steps())
        .toString();
  }

  private void runMeasures(Comparison comparison, int width, List<String> lines) {
    int nameWidth =
        comparison.run().keySet().stream().mapToInt(m -> m.label().length()).max().orElse(0) + 2;
    lines.add(
        line(width)
            .addPadded(Style.FAINT, "  the run", nameWidth + 2)
            .add(Style.FAINT, "    before      after     change    ± error")
            .toString());
    comparison
        .run()
        .forEach((measure, change) -> lines.add(runMeasure(measure, change, width, nameWidth)));
  }

  private String runMeasure(RunMeasure measure, Change change, int width, int nameWidth) {
    boolean octaves = measure.scale() == Scale.OCTAVES;
    Style style = style(change);
    return line(width)
        .add(style, mark(change))
        .addPadded(style, measure.label(), nameWidth)
        .add("%10s ".formatted(value(measure.scale(), change.before())))
        .add("%10s ".formatted(value(measure.scale(), change.after())))
        .add(
            style,
            "%10s ".formatted(octaves ? factor(change.difference()) : signed(change.difference())))
        .add(Style.FAINT, "%10s".formatted(error(change, octaves)))
        .toString();
  }

  /** How the gradient fares on its way to the input, if enough depths are known. */
  private void depth(
      String when, DepthProfile profile, Comparison comparison, int width, List<String> lines) {
    if (profile == null) {
      return;
    }
    StyledLine line =
        line(width)
            .addPadded(Style.PLAIN, "  depth, " + when, 17)
            .add(profile.perLayer())
            .add(
                String.format(
                    Locale.ROOT, " toward the input, %+.2f octaves in all", -profile.drop()));
    DepthProfile.Boundary boundary = profile.steepest();
    if (boundary != null && boundary.isBreak()) {
      List<LayerChange> weights = comparison.weightsByDepth();
      line.add(
          ", breaks between %s and %s"
              .formatted(
                  weights.get(boundary.inputSide()).layer().name(),
                  weights.get(boundary.lossSide()).layer().name()));
    }
    lines.add(line.toString());
  }

  private void layers(Comparison comparison, int width, int shown, List<String> lines) {
    List<LayerChange> drawn = mostDifferent(comparison, shown);
    int longest = drawn.stream().mapToInt(layer -> length(layer.layer().name())).max().orElse(0);
    int nameWidth = Math.min(Math.max(10, longest), Math.max(10, width / 3)) + 1;
    double largest =
        drawn.stream()
            .mapToDouble(layer -> Math.abs(layer.rms().difference()))
            .filter(difference -> !Double.isNaN(difference))
            .max()
            .orElse(0);
    double span = SPANS[SPANS.length - 1];
    for (int i = SPANS.length - 1; i >= 0 && SPANS[i] >= largest; i--) {
      span = SPANS[i];
    }
    OctaveBar bar = new OctaveBar(span);
    lines.add(
        line(width)
            .addPadded(Style.FAINT, "  by depth", nameWidth + 2)
            .add(Style.FAINT, "log2 RMS   after  change ± error ")
            .add(Style.FAINT, bar.title())
            .toString());
    drawn.forEach(layer -> lines.add(layer(layer, bar, width, nameWidth)));
    StyledLine legend = line(width).add(Style.FAINT, "* more than noise from step to step");
    if (drawn.stream().anyMatch(layer -> layer.rms().isUnsettled())) {
      legend.add(Style.FAINT, "  ~ large, but longer spans are needed to tell");
    }
    if (drawn.size() < comparison.layers().size()) {
      legend.add(
          Style.FAINT,
          "  %d layers that differ less are not drawn, see --layers"
              .formatted(comparison.layers().size() - drawn.size()));
    }
    lines.add(legend.toString());
  }

  /** As many layers as that, first those without a magnitude, then those of significant change. */
  private static List<LayerChange> mostDifferent(Comparison comparison, int shown) {
    Set<LayerChange> chosen =
        comparison.layers().stream()
            .sorted(
                Comparator.comparing((LayerChange layer) -> !layer.isOneSided())
                    .thenComparing(layer -> !layer.rms().isSignificant())
                    .thenComparing(
                        layer ->
                            Double.isNaN(layer.rms().difference())
                                ? 0
                                : -Math.abs(layer.rms().difference())))
            .limit(shown)
            .collect(Collectors.toSet());
    return comparison.layers().stream().filter(chosen::contains).toList();
  }

  private String layer(LayerChange layer, OctaveBar bar, int width, int nameWidth) {
    Change rms = layer.rms();
    Style style = style(rms);
    StyledLine line =
        line(width)
            .add(style, mark(rms))
            .addPadded(
                style == Style.PLAIN ? style : Style.STRONG, layer.layer().name(), nameWidth);
    level(line, rms.before(), layer.leftOutBefore());
    level(line, rms.after(), layer.leftOutAfter());
    line.add(
            style,
            Double.isNaN(rms.difference())
                ? " ".repeat(8)
                : String.format(Locale.ROOT, "%+8.2f", rms.difference()))
        .add(
            Style.FAINT,
            Double.isNaN(rms.standardError())
                ? " ".repeat(8)
                : String.format(Locale.ROOT, "%8.2f", rms.standardError()))
        .add("  ");
    bar.add(line, style, rms.difference());
    int leftOut = layer.leftOutBefore().total() + layer.leftOutAfter().total();
    if (leftOut > 0) {
      line.add(
          Style.FAINT,
          " %d+%d steps left out"
              .formatted(layer.leftOutBefore().total(), layer.leftOutAfter().total()));
    }
    return line.toString().stripTrailing();
  }

  /** The mean, or why there is none. */
  private static void level(StyledLine line, Estimate estimate, LeftOut leftOut) {
    if (estimate.steps() > 0) {
      line.add(String.format(Locale.ROOT, "%8.2f", estimate.mean()));
    } else if (leftOut.nonFinite() > 0) {
      line.add(" ").add(Style.BROKEN, "NaN/Inf");
    } else {
      line.add(Style.LOW, leftOut.zero() > 0 ? "    zero" : " missing");
    }
  }

  /** A line for each measure besides the magnitude that any layer changed in. */
  private void otherMeasures(Comparison comparison, int width, List<String> lines) {
    for (Measure measure : Measure.values()) {
      List<LayerChange> changed =
          comparison.layers().stream()
              .filter(
                  layer ->
                      measure != Measure.RMS
                          && layer.changes().containsKey(measure)
                          && layer.changes().get(measure).isSignificant())
              .toList();
      changed.stream()
          .max(
              Comparator.comparingDouble(
                  layer -> Math.abs(layer.changes().get(measure).difference())))
          .ifPresent(
              most -> {
                Change change = most.changes().get(measure);
                lines.add(
                    line(width)
                        .add("* " + measure.label())
                        .add(
                            " of %d %s, most %s: %s to %s"
                                .formatted(
                                    changed.size(),
                                    changed.size() == 1 ? "layer" : "layers",
                                    most.layer().name(),
                                    value(measure.scale(), change.before()),
                                    value(measure.scale(), change.after())))
                        .toString());
              });
    }
  }

  private void only(String where, List<String> names, int width, List<String> lines) {
    if (!names.isEmpty()) {
      String more =
          names.size() > NAMES_SHOWN ? " and %d more".formatted(names.size() - NAMES_SHOWN) : "";
      lines.add(
          line(width)
              .add(Style.FAINT, where + ": ")
              .add(names.stream().limit(NAMES_SHOWN).collect(Collectors.joining(", ")) + more)
              .toString());
    }
  }

  private static String mark(Change change) {
    return change.isSignificant() ? "* " : change.isUnsettled() ? "~ " : "  ";
  }

  private static Style style(Change change) {
    return !change.isSignificant() ? Style.PLAIN : change.difference() > 0 ? Style.HIGH : Style.LOW;
  }

  private static int length(String name) {
    return name.codePointCount(0, name.length());
  }

  private static String value(Scale scale, Estimate estimate) {
    return short4(scale == Scale.OCTAVES ? Math.pow(2, estimate.mean()) : estimate.mean());
  }

  private static String factor(double octaves) {
    return Double.isNaN(octaves) ? "-" : "×" + short4(Math.pow(2, octaves));
  }

  private static String signed(double value) {
    return Double.isNaN(value) ? "-" : (value < 0 ? "" : "+") + short4(value);
  }

  /** Of a factor the error is one, too. */
  private static String error(Change change, boolean octaves) {
    double error = change.standardError();
    return Double.isNaN(error) ? "-" : octaves ? "×" + short4(Math.pow(2, error)) : short4(error);
  }

  /** Four significant digits, no zeros behind them. */
  private static String short4(double value) {
    String digits = LiveView.number(value);
    return digits.contains(".") && !digits.contains("e")
        ? digits.replaceFirst("\\.?0+$", "")
        : digits;
  }
}
