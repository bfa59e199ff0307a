package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code gradflow validate}: what the jobs would be told, and whether it works out. */
@Command(
    name = "validate",
    description = {
      "Resolves the configuration of both jobs and checks it, without starting anything.",
      "Prints every option with where its value comes from, and one line for each problem: wrong"
          + " options, brokers that do not answer, topics, permissions, limits of transactions, the"
          + " schema registry."
    },
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {"0:no problem", "1:problems", "2:used wrongly"},
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class ValidateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = {"-f", "--file"},
      paramLabel = "config.yaml",
      required = true,
      description = "Flink's configuration file, with gradflow's options in it.")
  private Path file;

  @Option(names = "--offline", description = "Ask neither brokers nor the schema registry.")
  private boolean offline;

  @Option(
      names = "--format",
      paramLabel = "text|json",
      defaultValue = "text",
      description = "Lines for people or an object (default: ${DEFAULT-VALUE}).")
  private Format format;

  @Override
  public Integer call() {
    ResolvedOptions options = ResolvedOptions.of(file, System.getenv());
    List<String> problems = new ArrayList<>(options.problems());
    problems.addAll(new Surroundings(options.settings(), options.flink()).check(!offline));
    PrintWriter out = spec.commandLine().getOut();
    if (format == Format.JSON) {
      out.println(json(options, problems));
    } else {
      print(options, problems);
    }
    out.flush();
    return problems.isEmpty() ? 0 : 1;
  }

  private void print(ResolvedOptions options, List<String> problems) {
    PrintWriter out = spec.commandLine().getOut();
    for (ResolvedOptions.Value value : options.values()) {
      out.printf(
          "%-48s %-32s %s%n",
          value.name(), value.value() == null ? "(not set)" : value.value(), value.from());
    }
    out.println();
    problems.forEach(out::println);
    out.println(
        switch (problems.size()) {
          case 0 -> "no problems" + (offline ? ", as far as that can be told offline" : "");
          case 1 -> "1 problem";
          default -> problems.size() + " problems";
        });
  }

  private static ObjectNode json(ResolvedOptions options, List<String> problems) {
    ObjectNode report = new ObjectMapper().createObjectNode();
    ArrayNode values = report.putArray("options");
    options
        .values()
        .forEach(
            value ->
                values
                    .addObject()
                    .put("name", value.name())
                    .put("value", value.value())
                    .put("from", value.from()));
    problems.forEach(report.putArray("problems")::add);
    return report;
  }
}
