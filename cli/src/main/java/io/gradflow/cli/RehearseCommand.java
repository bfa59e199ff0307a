package io.gradflow.cli;

import java.util.OptionalInt;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/**
 * {@code gradflow rehearse}: starts a local stack and stops it again. The launcher runs it once
 * after a build, watches which classes it loads, and archives them so that later starts are faster.
 */
@Command(
    name = "rehearse",
    hidden = true,
    description = "Starts a local broker and Flink, says how long each took, and stops them.",
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class RehearseCommand implements Runnable {
  private static final OptionalInt ANY_FREE = OptionalInt.of(0);

  @Spec private CommandSpec spec;

  @Override
  public void run() {
    LocalStack.Settings settings =
        new LocalStack.Settings(Workspace.current(), ANY_FREE, ANY_FREE, 1, 1);
    LocalStack.start(settings, new Progress(spec.commandLine().getErr())).close();
  }
}
