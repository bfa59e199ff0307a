package io.gradflow.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;
import org.slf4j.LoggerFactory;

/**
 * The folder in which the command keeps its logs and, while a local stack runs, the stack's data:
 * {@code .gradflow} in the checkout, as the launcher says.
 *
 * @param root the folder, absolute
 */
record Workspace(Path root) {
  /** The system property by which the launcher names the folder; the log configuration uses it. */
  static final String PROPERTY = "gradflow.workspace";

  Workspace {
    root = root.toAbsolutePath().normalize();
  }

  /** The folder the launcher named, or {@code .gradflow} in the current one. */
  static Workspace current() {
    return new Workspace(Path.of(System.getProperty(PROPERTY, ".gradflow")));
  }

  Path log() {
    return root.resolve("logs").resolve("gradflow.log");
  }

  /** A new empty folder for the data of one run, which whoever asked for it removes again. */
  Path newFolder(String purpose) {
    try {
      Files.createDirectories(root);
      return Files.createTempDirectory(root, purpose + "-");
    } catch (IOException e) {
      throw new CommandFailed(
          "cannot create a folder under "
              + root
              + ": "
              + e
              + "; free some space or check its owner",
          e);
    }
  }

  /** Removes a folder and all in it, as far as that is possible. */
  static void remove(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      all.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
    } catch (IOException | UncheckedIOException e) {
      // Left-overs of a closed stack hurt nobody; the next one takes another folder.
      LoggerFactory.getLogger(Workspace.class).warn("Left behind: {}", folder, e);
    }
  }
}
