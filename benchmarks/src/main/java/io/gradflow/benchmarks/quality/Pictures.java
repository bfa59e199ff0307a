package io.gradflow.benchmarks.quality;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Pictures of what a contest came to, by file name. */
final class Pictures {
  private static final double LEAST_RATE = 0.01;
  private static final double MOST_RATE = 10;

  private Pictures() {}

  static Map<String, String> of(Report report) {
    Map<String, String> pictures = new LinkedHashMap<>();
    pictures.put("recall.svg", recall(report.contest()));
    pictures.put("delays.svg", delays(report.contest()));
    pictures.put("families.svg", families(report.contest()));
    return pictures;
  }

  /** Recall over false alarms: a dot for each sensitivity of each system. */
  private static String recall(Contest contest) {
    int left = 60;
    int right = 620;
    int top = 30;
    int bottom = 440;
    Svg svg = new Svg(860, 500);
    svg.label(left, 16, null, "Faults found, whatever cause is named, over false alerts");
    for (double rate = LEAST_RATE; rate <= MOST_RATE * 1.01; rate *= 10) {
      double x = across(rate, left, right);
      svg.grid(x, top, x, bottom);
      svg.text(x, bottom + 16, "middle", rate <= LEAST_RATE ? "≤ 0.01" : figure(rate));
    }
    svg.text(
        (left + right) / 2.0,
        bottom + 40,
        "middle",
        "false alerts in 10,000 layer-steps of healthy runs (dot: default)");
    for (int tenth = 0; tenth <= 10; tenth += 2) {
      double y = bottom - (bottom - top) * tenth / 10.0;
      svg.grid(left, y, right, y);
      svg.text(left - 8, y + 4, "end", "%.1f".formatted(tenth / 10.0));
    }
    int colour = 0;
    double legend = top + 10;
    for (String name : contest.names()) {
      String its = Svg.COLOURS.get(colour++ % Svg.COLOURS.size());
      List<Contest.Row> sweep = new ArrayList<>(contest.sweep(name));
      sweep.sort(Comparator.comparingDouble(row -> row.score().falseAlertRate()));
      // The most that it finds with no more false alerts.
      double[] points = new double[4 * sweep.size()];
      double most = 0;
      for (int i = 0; i < sweep.size(); i++) {
        Score score = sweep.get(i).score().classless();
        double x = across(score.falseAlertRate(), left, right);
        svg.dot(x, bottom - (bottom - top) * score.recall(), 2, its, 0.6);
        points[4 * i] = x;
        points[4 * i + 1] = bottom - (bottom - top) * (i == 0 ? score.recall() : most);
        most = Math.max(most, score.recall());
        points[4 * i + 2] = x;
        points[4 * i + 3] = bottom - (bottom - top) * most;
      }
      boolean own = name.equals(contest.names().get(0));
      svg.line(its, own ? 2.5 : 1.2, points);
      Score standard =
          contest.rows().stream()
              .filter(row -> row.name().equals(name) && row.tuning().equals("default"))
              .findFirst()
              .orElseThrow()
              .score()
              .classless();
      svg.dot(
          across(standard.falseAlertRate(), left, right),
          bottom - (bottom - top) * standard.recall(),
          own ? 6 : 4.5,
          its,
          1);
      svg.dot(right + 24, legend - 4, own ? 6 : 4.5, its, 1);
      svg.text(right + 36, legend, "start", name);
      legend += 22;
    }
    return svg.toString();
  }

  private static double across(double rate, double left, double right) {
    double shown = Math.max(LEAST_RATE, Math.min(MOST_RATE, Double.isNaN(rate) ? 0 : rate));
    return left + (right - left) * Math.log(shown / LEAST_RATE) / Math.log(MOST_RATE / LEAST_RATE);
  }

  private static String figure(double value) {
    return value < 1 ? "%.1f".formatted(value) : "%.0f".formatted(value);
  }

  /** How long gradflow takes, fault by fault. */
  private static String delays(Contest contest) {
    Map<String, Score> families = contest.rows().get(0).score().byFamily();
    int left = 190;
    int right = 700;
    int top = 40;
    int row = 20;
    int bottom = top + row * families.size();
    Svg svg = new Svg(780, bottom + 60);
    svg.label(left, 16, null, "Steps from onset to gradflow's alarm, a dot for each fault found");
    int[] ticks = {0, 1, 3, 10, 30, 100, 300, 1_000, 3_000};
    for (int tick : ticks) {
      double x = along(tick, left, right);
      svg.grid(x, top, x, bottom);
      svg.text(x, bottom + 16, "middle", Integer.toString(tick));
    }
    svg.text((left + right) / 2.0, bottom + 40, "middle", "steps");
    int at = 0;
    for (Map.Entry<String, Score> family : families.entrySet()) {
      double y = top + row * (at++ + 0.5);
      svg.text(left - 10, y + 4, "end", family.getKey());
      Score score =
          family.getValue().episodes() == 0
              ? family.getValue().expectedMisses()
              : family.getValue();
      double[] delays = score.classless().delays(episode -> true);
      for (double delay : delays) {
        svg.dot(along(delay, left, right), y, 4, Svg.COLOURS.get(0), 0.5);
      }
      svg.text(right + 10, y + 4, "start", delays.length + " of " + score.episodes());
    }
    return svg.toString();
  }

  private static double along(double delay, double left, double right) {
    return left + (right - left) * Math.log1p(delay) / Math.log1p(3_000);
  }

  /** Recall of every system in every family. */
  private static String families(Contest contest) {
    String tuning = contest.isTuned() ? "tuned" : "default";
    List<Contest.Row> rows =
        contest.rows().stream().filter(row -> row.tuning().equals(tuning)).toList();
    List<String> families = new ArrayList<>(rows.get(0).score().byFamily().keySet());
    int left = 190;
    int top = 150;
    int width = 48;
    int height = 20;
    Svg svg = new Svg(left + width * rows.size() + 110, top + height * families.size() + 20);
    svg.label(10, 16, null, "Share of the faults found, whatever cause is named (" + tuning + ")");
    for (int column = 0; column < rows.size(); column++) {
      svg.slanted(left + width * (column + 0.5), top - 8, rows.get(column).name());
    }
    for (int i = 0; i < families.size(); i++) {
      double y = top + (double) height * i;
      svg.text(left - 10, y + 14, "end", families.get(i));
      for (int column = 0; column < rows.size(); column++) {
        Score score = rows.get(column).score().byFamily().get(families.get(i));
        boolean outside = column > 0 && Report.isDelivery(score);
        Score counted = score.episodes() == 0 ? score.expectedMisses() : score;
        double recall = outside ? Double.NaN : counted.classless().recall();
        svg.cell(
            left + (double) width * column,
            y,
            width,
            height,
            recall,
            outside ? "–" : "%.1f".formatted(recall));
      }
    }
    return svg.toString();
  }
}
