package io.gradflow.cli;

import io.gradflow.core.incident.Alert;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code gradflow alerts}: reads incidents. */
@Command(
    name = "alerts",
    description = {
      "Shows the incidents in gradient-alerts: the latest state of each, in the order of opening.",
      "Those of severity INFO, of the kinds ADVICE_..., are advice: nothing is wrong.",
      "With --follow, every transition from now back to the beginning and on as it comes."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class AlertsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private KafkaCluster cluster;

  @Option(names = "--run", paramLabel = "R", description = "Only this run's.")
  private String run;

  @Option(names = "--follow", description = "Stay, and show alerts as they come, until Ctrl-C.")
  private boolean follow;

  @Option(
      names = "--format",
      paramLabel = "text|json",
      defaultValue = "text",
      description = "A line for people or an object per line (default: ${DEFAULT-VALUE}).")
  private Format format;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    try (TopicReader reader = new TopicReader(cluster.bootstrapServers(), WriterSchemas.known())) {
      Incidents incidents = new Incidents();
      reader.with(
          Codecs.ALERTS,
          alert -> {
            boolean wanted = run == null || run.equals(alert.runId());
            if (wanted && incidents.add(alert) && follow) {
              print(out, alert);
            }
          });
      if (follow) {
        reader.followUntilInterrupted();
      } else {
        reader.readToEnd();
        incidents.latest().forEach(alert -> print(out, alert));
        if (incidents.latest().isEmpty()) {
          spec.commandLine()
              .getErr()
              .println("no incidents" + (run == null ? "" : " of run " + run));
        }
      }
      if (reader.unreadable() > 0) {
        spec.commandLine()
            .getErr()
            .println(reader.unreadable() + " records of gradient-alerts could not be read");
      }
    }
    return 0;
  }

  private void print(PrintWriter out, Alert alert) {
    out.println(format == Format.JSON ? AlertText.transition(alert) : AlertText.line(alert));
    out.flush();
  }
}
