package io.gradflow.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The main of {@code ./gradflow}. */
@Command(
    name = "gradflow",
    description = "Watches the gradients of distributed training while it runs.",
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    commandListHeading = "%nCommands:%n",
    footer = {
      "  test    Runs the tests; works before anything is built: ./gradflow test --help",
      "  bench   Measures how long the parts take: ./gradflow bench --help",
      "  quality Measures how well faults are found: ./gradflow quality --help",
      "",
      "More on a command: gradflow COMMAND --help",
      "Exit codes: 0 done, 1 failed, 2 used wrongly"
    },
    subcommands = {
      HelpCommand.class,
      DemoCommand.class,
      DashboardCommand.class,
      AlertsCommand.class,
      ForwardCommand.class,
      CompareCommand.class,
      RecordCommand.class,
      ReplayCommand.class,
      ValidateCommand.class,
      DlqCommand.class,
      TopicsCommand.class,
      ClusterCommand.class,
      RehearseCommand.class
    })
public final class Gradflow implements Runnable {
  private static volatile boolean interrupted;

  @Spec private CommandSpec spec;

  private Gradflow() {}

  /**
   * Runs one command and ends the JVM with its exit code.
   *
   * @param args the command and its options
   */
  public static void main(String[] args) {
    PrintStream out = utf8(FileDescriptor.out);
    PrintStream err = utf8(FileDescriptor.err);
    // Whatever a library prints must not get between the lines a script reads.
    System.setOut(err);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> interrupted = true, "noting the end"));
    System.setErr(err);
    System.exit(
        run(
            new PrintWriter(out, true, StandardCharsets.UTF_8),
            new PrintWriter(err, true, StandardCharsets.UTF_8),
            args));
  }

  private static PrintStream utf8(FileDescriptor descriptor) {
    return new PrintStream(new FileOutputStream(descriptor), true, StandardCharsets.UTF_8);
  }

  /**
   * Runs one command.
   *
   * @return its exit code: 0 done, 1 failed, 2 used wrongly
   */
  static int run(PrintWriter out, PrintWriter err, String... args) {
    return new CommandLine(new Gradflow())
        .setOut(out)
        .setErr(err)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(Gradflow::usedWrongly)
        .setExecutionExceptionHandler((failure, command, parsed) -> failed(failure, command))
        .execute(args);
  }

  /** No command was named. */
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command, got none");
  }

  private static int usedWrongly(ParameterException mistake, String[] args) {
    CommandLine command = mistake.getCommandLine();
    String name = command.getCommandSpec().qualifiedName();
    // Of some mistakes the parser says itself that they are errors.
    String line = firstLine(mistake.getMessage()).replaceFirst("^Error: ", "");
    command.getErr().printf("gradflow: %s; see %s --help%n", StyledLine.plain(line), name);
    return command.getCommandSpec().exitCodeOnInvalidInput();
  }

  private static int failed(Exception failure, CommandLine command) {
    if (interrupted) {
      // Ctrl-C: what fails because the process ends is no news to whoever ended it.
      LoggerFactory.getLogger(Gradflow.class).info("The command was interrupted", failure);
    } else if (failure instanceof CommandFailed expected) {
      command.getErr().println("gradflow: " + StyledLine.plain(expected.getMessage()));
    } else {
      LoggerFactory.getLogger(Gradflow.class).error("The command failed", failure);
      command
          .getErr()
          .printf(
              "gradflow: unexpected %s; please report it with %s%n",
              Causes.innermost(failure), Workspace.current().log());
    }
    return command.getCommandSpec().exitCodeOnExecutionException();
  }

  private static String firstLine(String text) {
    return text.lines().findFirst().orElse(text);
  }

  /** The version of this build, from the jar's manifest. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Gradflow.class.getPackage().getImplementationVersion();
      return new String[] {"gradflow " + (version == null ? "(not packaged)" : version)};
    }
  }
}
