package io.gradflow.benchmarks.quality;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.training.zoo.Truth;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What a contest came to, for people, for pages and for scripts.
 *
 * @param seeds by which systems are judged
 * @param tuningSeeds by which they are tuned; empty: they are not
 */
record Report(Contest contest, List<Long> seeds, List<Long> tuningSeeds) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String OWN = "gradflow";

  private static final List<String> HEAD =
      List.of(
          "system",
          "tuning",
          "recall",
          "precision",
          "at 1 in 50,000",
          "delay, median",
          "p90",
          "ramps, median",
          "p90",
          "false alerts per 10k layer-steps",
          "false incidents per 1,000 steps",
          "false pages per 100,000 steps",
          "layer top 1",
          "top 3",
          "rank top 1",
          "alarms per fault");

  // --- Tables ------------------------------------------------------------------------------------

  /** The tables with aligned columns, and a line for whatever went wrong. */
  String text() {
    StringBuilder text = new StringBuilder();
    sections()
        .forEach(
            (title, lines) -> text.append(title).append('\n').append(aligned(lines)).append('\n'));
    return text.append(wrong()).toString();
  }

  /** The tables as a page has them. */
  String markdown() {
    StringBuilder text = new StringBuilder();
    sections()
        .forEach(
            (title, lines) -> {
              text.append("### ").append(title).append("\n\n");
              for (int i = 0; i < lines.size(); i++) {
                text.append("| ").append(String.join(" | ", lines.get(i))).append(" |\n");
                if (i == 0) {
                  text.append('|').append("---|".repeat(lines.get(0).size())).append('\n');
                }
              }
              text.append('\n');
            });
    return text.toString();
  }

  private Map<String, List<List<String>>> sections() {
    Map<String, List<List<String>>> sections = new LinkedHashMap<>();
    Score own = own();
    sections.put(
        "Systems (%d faults, %d healthy runs of %,d layer-steps; %d seeds)"
            .formatted(own.episodes(), own.healthyRuns(), own.healthyLayerSteps(), seeds.size()),
        systems());
    sections.put("gradflow by family", families());
    sections.put("Recall by family, every system by default", recalls("default"));
    if (contest.isTuned()) {
      sections.put("Recall by family, every system tuned", recalls("tuned"));
    }
    if (contest.sweeps()) {
      sections.put("gradflow at the false alarms of the others", matches());
      sections.put("gradflow by sensitivity", sweep());
    }
    if (contest.isTuned()) {
      sections.put("Tuned without a family, judged by it", leftOut());
    }
    sections.put("Healthy families, gradflow by default", healthyFamilies());
    sections.put("Left out", leftOutRuns());
    return sections;
  }

  /** The first system's default. */
  private Score own() {
    return contest.rows().get(0).score();
  }

  private List<List<String>> systems() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(HEAD);
    for (Contest.Row row : contest.rows()) {
      lines.add(line(row.name(), row.tuning() + factor(row), row.score()));
      if (row.name().equals(OWN)) {
        lines.add(line(OWN + ", any cause", row.tuning() + factor(row), row.score().classless()));
      }
    }
    return lines;
  }

  private static String factor(Contest.Row row) {
    return row.tuning().equals("tuned") ? " ×" + number(row.factor()) : "";
  }

  private static List<String> line(String name, String tuning, Score score) {
    return List.of(
        name,
        tuning,
        share(score.recall()),
        share(score.precision()),
        share(score.precisionAtBaseRate()),
        number(score.delay(50, Truth.Episode::abrupt)),
        number(score.delay(90, Truth.Episode::abrupt)),
        number(score.delay(50, episode -> !episode.abrupt())),
        number(score.delay(90, episode -> !episode.abrupt())),
        rate(score.falseAlerts()),
        rate(score.falseIncidents(1_000)),
        rate(score.falsePages(100_000)),
        share(score.rootLayer(1)),
        share(score.rootLayer(3)),
        share(score.rootRank(1)),
        number(score.floods()));
  }

  private List<List<String>> families() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(
        List.of(
            "family",
            "cause",
            "faults",
            "recall",
            "any cause",
            "delay, median",
            "p90",
            "layer top 1",
            "top 3",
            "rank top 1",
            "alarms per fault",
            "taken for"));
    own()
        .byFamily()
        .forEach(
            (family, score) -> {
              boolean expected = score.episodes() == 0;
              Score counted = expected ? score.expectedMisses() : score;
              lines.add(
                  List.of(
                      family + (expected ? " (expected miss)" : ""),
                      causes(counted),
                      Integer.toString(counted.episodes()),
                      share(counted.recall()),
                      share(counted.classless().recall()),
                      number(counted.delay(50, episode -> true)),
                      number(counted.delay(90, episode -> true)),
                      share(counted.rootLayer(1)),
                      share(counted.rootLayer(3)),
                      share(counted.rootRank(1)),
                      number(counted.floods()),
                      mistaken(counted)));
            });
    return lines;
  }

  private static String causes(Score score) {
    return score.runs().stream()
        .flatMap(run -> run.found().stream())
        .map(found -> found.episode().cause().name().toLowerCase(Locale.ROOT))
        .distinct()
        .collect(Collectors.joining(", "));
  }

  /** Causes that were named instead of the right one, with how often. */
  private static String mistaken(Score score) {
    Map<String, Long> causes =
        score.runs().stream()
            .flatMap(run -> run.found().stream())
            .filter(found -> found.any() >= 0 && found.classed() < 0)
            .map(
                found ->
                    found.named() == null ? "none" : found.named().name().toLowerCase(Locale.ROOT))
            .collect(Collectors.groupingBy(cause -> cause, TreeMap::new, Collectors.counting()));
    return causes.entrySet().stream()
        .map(entry -> entry.getKey() + " " + entry.getValue())
        .collect(Collectors.joining(", "));
  }

  private List<List<String>> recalls(String tuning) {
    List<Contest.Row> rows =
        contest.rows().stream().filter(row -> row.tuning().equals(tuning)).toList();
    List<List<String>> lines = new ArrayList<>();
    List<String> head = new ArrayList<>(List.of("family", "faults"));
    rows.forEach(row -> head.add(row.name()));
    lines.add(head);
    List<List<String>> outside = new ArrayList<>();
    for (String family : own().byFamily().keySet()) {
      List<String> line = new ArrayList<>();
      boolean delivery = isDelivery(own().byFamily().get(family));
      line.add(family + (delivery ? " (outside the others' inputs)" : ""));
      line.add(Integer.toString(counted(own().byFamily().get(family)).episodes()));
      for (Contest.Row row : rows) {
        Score score = counted(row.score().byFamily().get(family));
        line.add(delivery && !row.name().equals(OWN) ? "–" : share(score.classless().recall()));
      }
      (delivery ? outside : lines).add(line);
    }
    lines.addAll(outside);
    return lines;
  }

  /** Families that are expected to be missed are shown as what they are. */
  private static Score counted(Score score) {
    return score.episodes() == 0 ? score.expectedMisses() : score;
  }

  /** What does not arrive is nothing that a rule within a trainer can see. */
  static boolean isDelivery(Score family) {
    return family.runs().stream()
        .flatMap(run -> run.found().stream())
        .allMatch(found -> found.episode().cause() == Truth.Cause.DELIVERY);
  }

  private List<List<String>> matches() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(
        List.of(
            "at the false alarms of",
            "tuning",
            "false alerts per 10k layer-steps",
            "its recall",
            "within its inputs",
            "gradflow's recall",
            "any cause",
            "at thresholds ×"));
    for (Contest.Match match : contest.matches()) {
      Score score = match.other().score();
      lines.add(
          List.of(
              match.other().name(),
              match.other().tuning(),
              number(score.falseAlertRate()),
              share(score.recall()),
              share(withinInputs(score)),
              share(match.recall()),
              share(match.classlessRecall()),
              number(match.factor())));
    }
    return lines;
  }

  private static double withinInputs(Score score) {
    return score
        .of(
            run ->
                run.truth().episodes().stream()
                    .anyMatch(episode -> episode.cause() != Truth.Cause.DELIVERY))
        .recall();
  }

  private List<List<String>> sweep() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(HEAD);
    for (Contest.Row row : contest.sweep(OWN)) {
      lines.add(line(OWN, "×" + number(row.factor()), row.score()));
    }
    return lines;
  }

  private List<List<String>> leftOut() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(List.of("system", "mean recall of the families left out"));
    contest
        .leaveOneOut()
        .forEach(
            (name, leftOut) -> {
              lines.add(List.of(name, share(leftOut.recall())));
              if (name.equals(OWN)) {
                lines.add(List.of(OWN + ", any cause", share(leftOut.classlessRecall())));
              }
            });
    return lines;
  }

  private List<List<String>> healthyFamilies() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(List.of("family", "runs", "steps", "false alarms", "of which page"));
    Map<String, List<RunScore>> families = new LinkedHashMap<>();
    for (RunScore run : own().runs()) {
      if (run.run().healthy()) {
        String name = run.run().twin() ? "twins of faults" : run.run().family();
        families.computeIfAbsent(name, each -> new ArrayList<>()).add(run);
      }
    }
    families.forEach(
        (family, runs) ->
            lines.add(
                List.of(
                    family,
                    Integer.toString(runs.size()),
                    "%,d".formatted(runs.stream().mapToLong(run -> run.run().steps()).sum()),
                    Integer.toString(runs.stream().mapToInt(run -> run.falseAlarms().size()).sum()),
                    Integer.toString(
                        runs.stream().mapToInt(run -> run.falsePages().size()).sum()))));
    return lines;
  }

  private List<List<String>> leftOutRuns() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(List.of("family", "seeds", "why"));
    Map<String, List<Long>> excluded = new LinkedHashMap<>();
    for (RunScore run : own().runs()) {
      if (run.run().truth().excluded() != null) {
        excluded
            .computeIfAbsent(
                run.run().family() + "\n" + run.run().truth().excluded(), key -> new ArrayList<>())
            .add(run.run().seed());
      }
    }
    excluded.forEach(
        (key, which) ->
            lines.add(
                List.of(
                    key.substring(0, key.indexOf('\n')),
                    which.stream().map(String::valueOf).collect(Collectors.joining(", ")),
                    key.substring(key.indexOf('\n') + 1))));
    return lines;
  }

  /** A line for every miss and every false alarm of gradflow, for those who improve detectors. */
  String wrong() {
    StringBuilder text = new StringBuilder("What gradflow got wrong, by default\n");
    for (RunScore run : own().runs()) {
      for (RunScore.Found found : run.found()) {
        if (found.classed() >= 0) {
          continue;
        }
        String what =
            found.any() < 0
                ? "missed, alarms after the deadline: " + found.alarms()
                : "found after %d steps, taken for %s".formatted(found.any(), found.named());
        text.append(
            "  %-40s %s %s at %d, layers %s, rank %d: %s%n"
                .formatted(
                    run.run().label(),
                    run.run().truth().expectedMiss() ? "expected miss of" : "fault",
                    found.episode().cause(),
                    found.episode().onset(),
                    found.episode().layers(),
                    found.episode().rank(),
                    what));
      }
      for (Alarm alarm : run.falseAlarms()) {
        Alarm.Reading first = alarm.readings().get(0);
        text.append(
            "  %-40s false %s at %d%s: %s%n"
                .formatted(
                    run.run().label(),
                    alarm.paged() >= 0 ? "page" : "alarm",
                    alarm.opened(),
                    run.run().overlay() == null ? "" : " (" + run.run().overlay() + ")",
                    first.text()));
      }
    }
    return text.toString();
  }

  // --- JSON --------------------------------------------------------------------------------------

  /** All of it as one object. */
  ObjectNode json() {
    ObjectNode root = JSON.createObjectNode();
    ArrayNode systems = root.putArray("systems");
    Map<String, Contest.LeftOut> leftOut = contest.leaveOneOut();
    for (Contest.Row row : contest.rows()) {
      ObjectNode node = systems.addObject();
      node.put("name", row.name()).put("tuning", row.tuning());
      put(node, "factor", row.factor());
      put(node, row.score());
      if (row.tuning().equals("tuned")) {
        Contest.LeftOut its = leftOut.get(row.name());
        put(node, "recallOfFamiliesLeftOut", its.recall());
        put(node, "recallOfFamiliesLeftOutAnyCause", its.classlessRecall());
      }
      ArrayNode families = node.putArray("families");
      row.score()
          .byFamily()
          .forEach((family, score) -> family(families.addObject().put("name", family), score));
    }
    ArrayNode matches = root.putArray("atTheFalseAlarmsOf");
    for (Contest.Match match : contest.matches()) {
      ObjectNode node = matches.addObject();
      node.put("name", match.other().name()).put("tuning", match.other().tuning());
      put(node, "falseAlertsPer10k", match.other().score().falseAlertRate());
      put(node, "recall", match.other().score().recall());
      put(node, "recallWithinInputs", withinInputs(match.other().score()));
      put(node, "gradflowRecall", match.recall());
      put(node, "gradflowRecallAnyCause", match.classlessRecall());
      put(node, "gradflowFactor", match.factor());
    }
    ArrayNode sweeps = root.putArray("sweeps");
    for (String name : contest.names()) {
      ArrayNode points = sweeps.addObject().put("name", name).putArray("points");
      for (Contest.Row row : contest.sweep(name)) {
        ObjectNode point = points.addObject();
        put(point, "factor", row.factor());
        put(point, "recall", row.score().recall());
        put(point, "recallAnyCause", row.score().classless().recall());
        put(point, "falseAlertsPer10k", row.score().falseAlertRate());
      }
    }
    ArrayNode excluded = root.putArray("excluded");
    for (RunScore run : own().runs()) {
      if (run.run().truth().excluded() != null) {
        excluded
            .addObject()
            .put("family", run.run().family())
            .put("seed", run.run().seed())
            .put("why", run.run().truth().excluded());
      }
    }
    root.put("healthyLayerSteps", own().healthyLayerSteps());
    root.put("healthySteps", own().healthySteps());
    root.put("healthyRuns", own().healthyRuns());
    seeds.forEach(root.putArray("seeds")::add);
    tuningSeeds.forEach(root.putArray("tuningSeeds")::add);
    return root;
  }

  private static void put(ObjectNode node, Score score) {
    put(node, "recall", score.recall());
    put(node, "recallAnyCause", score.classless().recall());
    put(node, "recallWithinInputs", withinInputs(score));
    put(node, "precision", score.precision());
    put(node, "precisionAnyCause", score.classless().precision());
    put(node, "precisionAtBaseRate", score.precisionAtBaseRate());
    put(node, "delayMedian", score.delay(50, episode -> true));
    put(node, "delayP90", score.delay(90, episode -> true));
    put(node, "delayMedianAbrupt", score.delay(50, Truth.Episode::abrupt));
    put(node, "delayP90Abrupt", score.delay(90, Truth.Episode::abrupt));
    put(node, "delayMedianRamps", score.delay(50, episode -> !episode.abrupt()));
    put(node, "delayP90Ramps", score.delay(90, episode -> !episode.abrupt()));
    put(node, "falseAlertsPer10k", score.falseAlerts());
    put(node, "falseIncidentsPer1kRunSteps", score.falseIncidents(1_000));
    put(node, "falsePagesPer100kRunSteps", score.falsePages(100_000));
    put(node, "rootLayerTop1", score.rootLayer(1));
    put(node, "rootLayerTop3", score.rootLayer(3));
    put(node, "rootRankTop1", score.rootRank(1));
    put(node, "alarmsPerFault", score.floods());
  }

  private static void family(ObjectNode node, Score score) {
    Score counted = counted(score);
    node.put("expectedMiss", score.episodes() == 0);
    node.put("delivery", isDelivery(score));
    node.put("cause", causes(counted));
    node.put("episodes", counted.episodes());
    put(node, "recall", counted.recall());
    put(node, "recallAnyCause", counted.classless().recall());
    put(node, "delayMedian", counted.delay(50, episode -> true));
    put(node, "delayP90", counted.delay(90, episode -> true));
    put(node, "rootLayerTop1", counted.rootLayer(1));
    put(node, "rootLayerTop3", counted.rootLayer(3));
    put(node, "rootRankTop1", counted.rootRank(1));
    put(node, "alarmsPerFault", counted.floods());
  }

  private static void put(ObjectNode node, String name, Score.Rate rate) {
    put(node, name, rate.value());
    ArrayNode interval = node.putArray(name + "Interval");
    interval.add(rate.low()).add(rate.high());
  }

  private static void put(ObjectNode node, String name, double value) {
    if (Double.isNaN(value)) {
      node.putNull(name);
    } else {
      node.put(name, value);
    }
  }

  // --- Words -------------------------------------------------------------------------------------

  private static String aligned(List<List<String>> lines) {
    StringBuilder text = new StringBuilder();
    for (List<String> line : lines) {
      for (int column = 0; column < line.size(); column++) {
        int at = column;
        int width = lines.stream().mapToInt(each -> each.get(at).length()).max().orElse(0);
        String gap = " ".repeat(width - line.get(at).length());
        text.append(column == 0 ? line.get(at) + gap : "  " + gap + line.get(at));
      }
      text.append('\n');
    }
    return text.toString();
  }

  private static String share(double value) {
    return Double.isNaN(value) ? "–" : "%.2f".formatted(value);
  }

  private static String number(double value) {
    if (Double.isNaN(value)) {
      return "–";
    }
    return value == Math.rint(value) ? "%.0f".formatted(value) : "%.3g".formatted(value);
  }

  private static String rate(Score.Rate rate) {
    return Double.isNaN(rate.value())
        ? "–"
        : "%s (%s–%s)".formatted(number(rate.value()), number(rate.low()), number(rate.high()));
  }
}
