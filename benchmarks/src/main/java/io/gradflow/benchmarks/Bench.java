package io.gradflow.benchmarks;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.openjdk.jmh.runner.RunnerException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gradflow bench}: measures, and prints tables. */
@Command(
    name = "gradflow bench",
    description = {
      "Measures how long the parts take, each beside what it is compared with, and prints the medians"
          + " as a table. Progress goes to standard error. All of it takes some minutes; nothing else"
          + " should run on the machine meanwhile.",
      "",
      "matrices: what analyses them. signals: what each group of signals costs, in bytes and time."
          + " detectors: what they take of a step, and what they remember. publisher: how long a"
          + " training waits for a step to be published. With options of their own and not part of"
          + " all: trainers, what watching adds to a PyTorch training; page, how smoothly the page"
          + " draws, what it remembers and how long many clients wait.",
      ""
    },
    mixinStandardHelpOptions = true,
    footer = {"", "Exit codes: 0 measured, 1 something failed, 2 used wrongly"})
final class Bench implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      description = "One of: ${COMPLETION-CANDIDATES}. All there is if left out.",
      completionCandidates = Names.class)
  private String name;

  /** What there is to be measured: each by itself, after the name of all that belong together. */
  static final class Names implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      List<String> names = new ArrayList<>();
      suites()
          .forEach(
              (suite, members) -> {
                names.add(suite);
                names.addAll(members);
              });
      return names.iterator();
    }
  }

  private static Map<String, List<String>> suites() {
    List<String> signals = new ArrayList<>(List.of(SignalBytes.NAME));
    signals.addAll(Measuring.names(SignalBenchmarks.class));
    List<String> detectors = new ArrayList<>(List.of(DetectorState.NAME));
    detectors.addAll(Measuring.names(DetectBenchmarks.class));
    Map<String, List<String>> suites = new LinkedHashMap<>();
    suites.put("matrices", Measuring.names(MatrixBenchmarks.class));
    suites.put("signals", signals);
    suites.put("detectors", detectors);
    suites.put("publisher", Measuring.names(PublishBenchmarks.class));
    return suites;
  }

  /** The members of a suite, a name by itself, or all of null; null if there is no such name. */
  private static List<String> members(String name) {
    Map<String, List<String>> suites = suites();
    List<String> all = suites.values().stream().flatMap(List::stream).toList();
    return name == null
        ? all
        : suites.getOrDefault(name, all.contains(name) ? List.of(name) : null);
  }

  public static void main(String[] arguments) {
    System.exit(
        commandLine()
            .setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8))
            .setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8))
            .execute(arguments));
  }

  static CommandLine commandLine() {
    return new CommandLine(new Bench())
        .setParameterExceptionHandler(
            (mistake, arguments) -> {
              CommandLine command = mistake.getCommandLine();
              command
                  .getErr()
                  .printf("gradflow: %s; see gradflow bench --help%n", mistake.getMessage());
              return command.getCommandSpec().exitCodeOnInvalidInput();
            });
  }

  @Override
  public Integer call() throws RunnerException, InterruptedException {
    List<String> members = members(name);
    if (members == null) {
      throw new ParameterException(
          spec.commandLine(),
          "expected one of: %s; got: %s".formatted(String.join(" ", new Names()), name));
    }
    PrintWriter output = spec.commandLine().getOut();
    Measuring measuring = Measuring.thorough(spec.commandLine().getErr());
    for (String member : members) {
      output.println(
          switch (member) {
            case SignalBytes.NAME -> SignalBytes.measured();
            case DetectorState.NAME -> DetectorState.measured();
            default -> measuring.table(member);
          });
      output.flush();
    }
    return 0;
  }
}
