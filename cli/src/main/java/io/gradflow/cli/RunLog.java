package io.gradflow.cli;

import io.gradflow.cli.RunSnapshot.Incident;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Tells a run as lines, for terminals and files that cannot be drawn on: what is new of its
 * incidents, and where it is.
 */
final class RunLog {
  private final Set<String> told = new HashSet<>();
  private long toldStep = -1;

  /** The lines to add now; none if nothing is new. */
  List<String> next(RunSnapshot run) {
    List<String> lines = new ArrayList<>();
    for (Incident incident : run.incidents()) {
      String which = incident.kind() + " at step " + incident.openedStep();
      if (told.add(which + incident.rootLayer())) {
        lines.add(
            plain(
                "%-9s %s (%s): %s%s%s"
                    .formatted(
                        incident.isAdvice() ? "advice" : "opened",
                        which,
                        incident.severity(),
                        incident.message(),
                        incident.account().isEmpty() ? "" : " " + incident.account(),
                        incident.advice().map(advice -> " " + advice).orElse(""))));
      }
      if (!incident.open() && told.add(which + incident.rootLayer() + " resolved")) {
        lines.add(
            plain(
                "resolved  %s, at step %d".formatted(which, incident.resolvedStep().getAsLong())));
      }
    }
    if (run.step() != toldStep) {
      toldStep = run.step();
      lines.add(
          String.format(
              Locale.ROOT,
              "%s step %d%s, %.1f/s, loss %s, norm %s, complete %s, dropped %d",
              LiveView.clock(run.elapsed()),
              run.step(),
              run.steps().isPresent() ? "/" + run.steps().getAsLong() : "",
              run.stepsPerSecond(),
              LiveView.number(run.loss()),
              LiveView.norm(run.globalNorm()),
              LiveView.percent(run.completeness()),
              run.dropped()));
    }
    return lines;
  }

  private static String plain(String text) {
    return new StyledLine(Integer.MAX_VALUE, false).add(text).toString();
  }
}
