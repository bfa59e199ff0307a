package io.gradflow.benchmarks.quality;

import java.util.List;
import java.util.Locale;

/** Writes a picture. Its colours can be read on light and on dark pages. */
final class Svg {
  /** Colours of series, told apart by people who do not see all colours. */
  static final List<String> COLOURS =
      List.of(
          "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56a0d3", "#8c564b", "#7f7f7f",
          "#6a5acd", "#2e8b57", "#c71585", "#708090");

  private final StringBuilder body = new StringBuilder();
  private final int width;
  private final int height;

  Svg(int width, int height) {
    this.width = width;
    this.height = height;
  }

  /** A text; {@code anchor} is start, middle or end. */
  void text(double x, double y, String anchor, String text) {
    add("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", x, y, anchor, escaped(text));
  }

  /** A text in a colour, or bold if that is null. */
  void label(double x, double y, String colour, String text) {
    add(
        "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>",
        x,
        y,
        colour == null ? "style=\"font-weight:bold\"" : "style=\"fill:" + colour + "\"",
        escaped(text));
  }

  /** A text that reads upwards to the right. */
  void slanted(double x, double y, String text) {
    add("<text transform=\"translate(%.1f %.1f) rotate(-45)\">%s</text>", x, y, escaped(text));
  }

  /** A faint line of the grid. */
  void grid(double x1, double y1, double x2, double y2) {
    add("<path class=\"grid\" d=\"M%.1f %.1fL%.1f %.1f\"/>", x1, y1, x2, y2);
  }

  /** A line through points x0, y0, x1, y1... */
  void line(String colour, double width, double... points) {
    StringBuilder path = new StringBuilder();
    for (int i = 0; i < points.length; i += 2) {
      path.append(
          String.format(Locale.ROOT, "%s%.1f %.1f", i == 0 ? "M" : "L", points[i], points[i + 1]));
    }
    add("<path fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" d=\"%s\"/>", colour, width, path);
  }

  void dot(double x, double y, double radius, String colour, double opacity) {
    add(
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"%.2f\"/>",
        x, y, radius, colour, opacity);
  }

  /** A cell of a map: the more opaque the higher the share; with its value. */
  void cell(double x, double y, double w, double h, double share, String text) {
    if (!Double.isNaN(share)) {
      add(
          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#0072b2\""
              + " fill-opacity=\"%.2f\"/>",
          x, y, w - 1, h - 1, 0.06 + 0.7 * share);
    }
    text(x + w / 2, y + h / 2 + 4, "middle", text);
  }

  private void add(String format, Object... values) {
    body.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }

  @Override
  public String toString() {
    return """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">
        <style>
        text { font: 12px sans-serif; fill: #6e7781 }
        .grid { stroke: #8886; fill: none }
        @media (prefers-color-scheme: light) { text { fill: #24292f } }
        @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
        </style>
        """
            .formatted(width, height, width, height)
        + body
        + "</svg>\n";
  }
}
