package io.gradflow.cli;

import io.gradflow.cli.RunSnapshot.Incident;
import io.gradflow.cli.StyledLine.Style;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Draws a run as lines of text: its numbers, every layer by depth with its norm, its change and its
 * recent steps, and its incidents. A pure function of what is known and of the size of the
 * terminal.
 *
 * <p>All layers share one scale, octaves from each layer's own baseline, so that rows compare.
 * Colour repeats what shape already says: bars point left or right, steps are low or high, and what
 * is not finite is a reversed {@code X} that cannot be taken for a small value.
 */
final class LiveView {
  /** What the bars and the steps span on either side of the baseline, in octaves. */
  private static final double SPAN = 4;

  /** An odd number, so that a quiet layer rests on the middle one. */
  private static final String LEVELS = "▁▂▃▄▆▇█";

  private static final OctaveBar BAR = new OctaveBar(SPAN);
  private static final int NUMBERS = 18;
  private static final int FIXED_LINES = 6;
  private static final String MESSAGE_INDENT = "    ";

  private final boolean styled;

  /**
   * Draws with or without ANSI styles.
   *
   * @param styled whether lines hold ANSI styles
   */
  LiveView(boolean styled) {
    this.styled = styled;
  }

  /**
   * The lines of one frame.
   *
   * @param width columns no line exceeds
   * @param height lines the frame does not exceed
   */
  List<String> frame(RunSnapshot run, int width, int height) {
    List<String> lines = new ArrayList<>();
    lines.add(
        line(width)
            .add(Style.STRONG, "gradflow")
            .add("  " + run.run() + "  " + run.scenario())
            .addRight("  " + clock(run.elapsed()))
            .toString());
    lines.add(numbers(run, width));
    String page = run.page().map(address -> "page " + address + "  ").orElse("");
    lines.add(line(width).add(page).add(Style.FAINT, "Flink " + run.flink()).toString());

    List<String> incidentLines = incidents(run, width, Math.max(2, height / 4));
    Set<String> named =
        run.incidents().stream()
            .filter(incident -> incident.open() && !incident.isAdvice())
            .flatMap(incident -> incident.rootLayer().stream())
            .collect(Collectors.toSet());
    List<LayerRow> rows =
        LayerRow.fit(run.layers(), named, height - FIXED_LINES - incidentLines.size());
    int nameWidth =
        Math.min(
            Math.max(8, width / 4),
            rows.stream().mapToInt(row -> row.name().length()).max().orElse(0) + 2);
    lines.add(columnTitles(width, nameWidth));
    rows.forEach(row -> lines.add(layer(row, width, nameWidth)));
    lines.add(legend(width));

    lines.add(line(width).add(Style.STRONG, "incidents").add("  " + counts(run)).toString());
    lines.addAll(incidentLines);
    return lines.subList(0, Math.min(lines.size(), height));
  }

  private StyledLine line(int width) {
    return new StyledLine(width, styled);
  }

  private String numbers(RunSnapshot run, int width) {
    String steps = run.steps().isPresent() ? "/" + run.steps().getAsLong() : "";
    StyledLine line =
        line(width)
            .add("step ")
            .add(Style.STRONG, run.step() + steps)
            .add(String.format(Locale.ROOT, "  %.1f/s", run.stepsPerSecond()))
            .add("  loss " + number(run.loss()))
            .add("  norm ");
    line.add(
        Double.isFinite(run.globalNorm()) ? Style.PLAIN : Style.BROKEN, norm(run.globalNorm()));
    line.add("  complete ")
        .add(run.completeness() < 1 ? Style.HIGH : Style.PLAIN, percent(run.completeness()))
        .add("  dropped ")
        .add(run.dropped() > 0 ? Style.HIGH : Style.PLAIN, Long.toString(run.dropped()));
    return line.toString();
  }

  private String columnTitles(int width, int nameWidth) {
    return line(width)
        .addPadded(Style.FAINT, "  by depth", nameWidth + 1)
        .add(Style.FAINT, "log2 norm  change  ")
        .add(Style.FAINT, BAR.title() + " ")
        .add(Style.FAINT, "last steps, newest right")
        .toString();
  }

  private String layer(LayerRow row, int width, int nameWidth) {
    StyledLine line =
        line(width)
            .add(row.named() ? Style.STRONG : Style.PLAIN, row.named() ? "> " : "  ")
            .addPadded(row.named() ? Style.STRONG : Style.PLAIN, row.name(), nameWidth - 2)
            .add(" ");
    if (row.reading() == RunSnapshot.LayerTrace.NON_FINITE) {
      line.add(Style.BROKEN, "  NaN/Inf").add(" ".repeat(NUMBERS - 9));
    } else if (Double.isNaN(row.reading())) {
      line.add(Style.FAINT, "  missing").add(" ".repeat(NUMBERS - 9));
    } else if (row.reading() == Double.NEGATIVE_INFINITY) {
      line.add(Style.LOW, "     zero").add(" ".repeat(NUMBERS - 9));
    } else {
      line.add(String.format(Locale.ROOT, "%9.1f", row.reading()))
          .add(
              style(row.change()),
              Double.isNaN(row.change())
                  ? " ".repeat(NUMBERS - 9)
                  : String.format(Locale.ROOT, "%+8.1f ", row.change()));
    }
    line.add(" ");
    if (row.change() == RunSnapshot.LayerTrace.NON_FINITE) {
      line.add(" ".repeat(OctaveBar.HALF)).add("|").add(Style.BROKEN, "X".repeat(OctaveBar.HALF));
    } else {
      BAR.add(line, style(row.change()), row.change());
    }
    line.add(" ");
    int steps = Math.min(line.room(), row.changes().size());
    line.add(" ".repeat(Math.max(0, line.room() - steps)));
    row.changes()
        .subList(row.changes().size() - steps, row.changes().size())
        .forEach(change -> step(line, change));
    return line.toString();
  }

  /** One step of a layer: a level of the scale, or the mark of what is no level. */
  private static void step(StyledLine line, double change) {
    if (change == RunSnapshot.LayerTrace.NON_FINITE) {
      line.add(Style.BROKEN, "X");
    } else if (Double.isNaN(change)) {
      line.add(Style.FAINT, "·");
    } else if (change == Double.NEGATIVE_INFINITY) {
      line.add(Style.LOW, "_");
    } else {
      double place = (Math.max(-SPAN, Math.min(SPAN, change)) + SPAN) / (2 * SPAN);
      int level = (int) Math.round(place * (LEVELS.length() - 1));
      line.add(style(change), LEVELS.substring(level, level + 1));
    }
  }

  /** From one octave on a change is worth a colour. */
  private static Style style(double change) {
    return change >= 1 ? Style.HIGH : change <= -1 ? Style.LOW : Style.PLAIN;
  }

  private String legend(int width) {
    return line(width)
        .add(Style.FAINT, "▁▄█ -4 to +4 octaves from its baseline  ")
        .add(Style.BROKEN, "X")
        .add(Style.FAINT, " NaN or Inf  _ zero  · missing  > in an open incident")
        .toString();
  }

  private static String counts(RunSnapshot run) {
    long advice = run.incidents().stream().filter(Incident::isAdvice).count();
    long open = run.incidents().stream().filter(i -> i.open() && !i.isAdvice()).count();
    return "%d open, %d resolved".formatted(open, run.incidents().size() - advice - open)
        + (advice == 0 ? "" : ", advice %d".formatted(advice));
  }

  /**
   * The open ones, the newest first, after them the open advice, and then the others, as far as
   * there is room.
   */
  private List<String> incidents(RunSnapshot run, int width, int room) {
    List<Incident> newestFirst = new ArrayList<>(run.incidents());
    Collections.reverse(newestFirst);
    newestFirst.sort(
        Comparator.comparing(Incident::open).reversed().thenComparing(Incident::isAdvice));
    List<String> lines = new ArrayList<>();
    newestFirst.forEach(incident -> lines.addAll(incident(incident, run.step(), width)));
    return lines.subList(0, Math.min(room, lines.size()));
  }

  /** What and when, and below it the sentence, on as many lines as it takes. */
  private List<String> incident(Incident incident, long step, int width) {
    boolean grave = incident.open() && incident.severity().equals("critical");
    String when =
        incident.open()
            ? "open since step %d (%d steps)"
                .formatted(incident.openedStep(), Math.max(0, step - incident.openedStep()))
            : "steps %d to %d, resolved"
                .formatted(incident.openedStep(), incident.resolvedStep().getAsLong());
    List<String> lines = new ArrayList<>();
    lines.add(
        line(width)
            .add(incident.isAdvice() ? "◇ " : incident.open() ? "● " : "○ ")
            .add(
                grave
                    ? Style.BROKEN
                    : incident.open() && !incident.isAdvice() ? Style.HIGH : Style.FAINT,
                incident.severity())
            .add(incident.open() ? Style.STRONG : Style.FAINT, " " + incident.kind())
            .add(Style.FAINT, incident.cause().map(cause -> " (" + cause + ")").orElse(""))
            .add(Style.FAINT, "  " + when)
            .toString());
    String account = incident.account().isEmpty() ? "" : " " + incident.account();
    String text =
        incident.message() + account + incident.advice().map(advice -> " " + advice).orElse("");
    for (String part : wrapped(text, width - MESSAGE_INDENT.length())) {
      lines.add(
          line(width)
              .add(MESSAGE_INDENT)
              .add(incident.open() ? Style.PLAIN : Style.FAINT, part)
              .toString());
    }
    return lines;
  }

  /** The text in lines of at most so many columns, broken between words where there are any. */
  static List<String> wrapped(String text, int columns) {
    List<String> lines = new ArrayList<>();
    String rest = text;
    while (columns > 0 && rest.length() > columns) {
      int space = rest.lastIndexOf(' ', columns);
      int end = space > 0 ? space : columns;
      lines.add(rest.substring(0, end));
      rest = rest.substring(end).stripLeading();
    }
    lines.add(rest);
    return lines;
  }

  static String clock(Duration elapsed) {
    return "%d:%02d".formatted(elapsed.toMinutes(), elapsed.toSecondsPart());
  }

  static String norm(double value) {
    return Double.isInfinite(value) ? "NaN/Inf" : Double.isNaN(value) ? "missing" : number(value);
  }

  static String percent(double share) {
    return Double.isNaN(share)
        ? "-"
        // Never rounded up to a whole that is not there.
        : String.format(Locale.ROOT, "%.1f %%", Math.floor(share * 1000) / 10);
  }

  static String number(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.4g", value);
  }
}
