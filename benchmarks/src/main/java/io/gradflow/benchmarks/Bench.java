package io.gradflow.benchmarks;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.List;
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
      ""
    },
    mixinStandardHelpOptions = true,
    footer = {"", "Exit codes: 0 measured, 1 something failed, 2 used wrongly"})
final class Bench implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      description = "One of: ${COMPLETION-CANDIDATES}. All of them if left out.",
      completionCandidates = Names.class)
  private String name;

  /** What there is to be measured. */
  static final class Names implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return Measuring.names().iterator();
    }
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
  public Integer call() throws RunnerException {
    List<String> names = Measuring.names();
    if (name != null && !names.contains(name)) {
      throw new ParameterException(
          spec.commandLine(),
          "expected one of: %s; got: %s".formatted(String.join(" ", names), name));
    }
    PrintWriter output = spec.commandLine().getOut();
    Measuring measuring = Measuring.thorough(spec.commandLine().getErr());
    for (String each : name == null ? names : List.of(name)) {
      output.println(measuring.table(each));
      output.flush();
    }
    return 0;
  }
}
