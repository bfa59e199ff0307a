package io.gradflow.cli;

import io.gradflow.cli.StyledLine.Style;

/**
 * Draws a change as a bar to the left or the right of a line: full blocks are up, shaded ones down,
 * an arrow stands where it leaves the scale. All rows of a table share one scale.
 *
 * @param span octaves on either side
 */
record OctaveBar(double span) {
  /** Cells on either side. */
  static final int HALF = 8;

  /** The scale, as wide as a bar and the blank before it. */
  String title() {
    String end = span < 1 ? Double.toString(span).substring(1) : Long.toString(Math.round(span));
    String middle = "octaves";
    int blank = 2 * HALF + 2 - 2 * (end.length() + 1) - middle.length();
    return "-%s%s%s%s+%s"
        .formatted(end, " ".repeat(blank - blank / 2), middle, " ".repeat(blank / 2), end);
  }

  /** Draws; NaN is an empty bar. */
  void add(StyledLine line, Style style, double change) {
    int cells =
        Double.isNaN(change) ? 0 : (int) Math.round(Math.min(Math.abs(change) / span, 1) * HALF);
    boolean beyond = Math.abs(change) > span;
    String blank = " ".repeat(HALF - cells);
    if (change < 0) {
      String blocks = beyond ? "◀" + "▒".repeat(cells - 1) : "▒".repeat(cells);
      line.add(blank).add(style, blocks).add("|").add(" ".repeat(HALF));
    } else {
      String blocks = beyond ? "█".repeat(cells - 1) + "▶" : "█".repeat(cells);
      line.add(" ".repeat(HALF)).add("|").add(style, blocks).add(blank);
    }
  }
}
