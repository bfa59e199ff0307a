package io.gradflow.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Programs of Debian packages that tests run; {@code gradflow test} installs them. */
enum Binaries {
  PROMTOOL("promtool", "prometheus"),
  ALERTMANAGER("prometheus-alertmanager", "prometheus-alertmanager"),
  AMTOOL("amtool", "prometheus-alertmanager");

  private final String program;
  private final String debianPackage;

  Binaries(String program, String debianPackage) {
    this.program = program;
    this.debianPackage = debianPackage;
  }

  /** Where it is; the test fails without it. */
  String path() {
    return Stream.of(System.getenv("PATH").split(":", -1))
        .map(folder -> Path.of(folder, program))
        .filter(Files::isExecutable)
        .findFirst()
        .map(Path::toString)
        .orElseThrow(
            () ->
                new AssertionError(
                    "needs %s, found none in PATH; install it: apt-get install %s"
                        .formatted(program, debianPackage)));
  }

  /** What it prints, which must end well within a minute. */
  String run(String... arguments) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(Stream.concat(Stream.of(path()), Stream.of(arguments)).toList())
            .redirectErrorStream(true)
            .start();
    process.getOutputStream().close();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (!process.waitFor(1, TimeUnit.MINUTES)) {
      process.destroyForcibly();
      throw new AssertionError(program + " did not end within a minute");
    }
    if (process.exitValue() != 0) {
      throw new AssertionError("%s %s failed:%n%s".formatted(program, List.of(arguments), printed));
    }
    return printed;
  }
}
