package io.gradflow.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What processes of this machine hold in memory, as Linux says. */
final class ProcessMemory {
  private static final double KIB_IN_MIB = 1024;
  private static final Pattern PROPORTIONAL = Pattern.compile("(?m)^Pss:\\s+(\\d+) kB");

  private ProcessMemory() {}

  /** Of some processes together, MiB; what they share counts once. */
  static double of(Stream<ProcessHandle> processes) {
    return processes.mapToDouble(ProcessMemory::kib).sum() / KIB_IN_MIB;
  }

  private static double kib(ProcessHandle process) {
    try {
      Matcher found =
          PROPORTIONAL.matcher(
              Files.readString(Path.of("/proc", Long.toString(process.pid()), "smaps_rollup")));
      return found.find() ? Double.parseDouble(found.group(1)) : 0;
    } catch (IOException e) {
      if (process.isAlive()) {
        throw new UncheckedIOException(e);
      }
      return 0;
    }
  }

  /** The heap that is in use in another JVM after a full collection, MiB. */
  static double heapAfterCollection(ProcessHandle jvm) {
    jcmd(jvm, "GC.run");
    Matcher used =
        Pattern.compile("generation +total \\d+K, used (\\d+)K").matcher(jcmd(jvm, "GC.heap_info"));
    double kib = 0;
    while (used.find()) {
      kib += Double.parseDouble(used.group(1));
    }
    return kib / KIB_IN_MIB;
  }

  private static String jcmd(ProcessHandle jvm, String command) {
    try {
      Process process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
                  Long.toString(jvm.pid()),
                  command)
              .redirectErrorStream(true)
              .start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new IllegalStateException("jcmd %s: %s".formatted(command, output));
      }
      return output;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
