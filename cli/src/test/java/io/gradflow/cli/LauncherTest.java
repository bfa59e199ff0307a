package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher script, as far as it goes without a build. */
class LauncherTest {
  private static final Path SCRIPT = Path.of("..", "gradflow").toAbsolutePath().normalize();
  private static final List<String> TOOLS =
      List.of(
          "awk", "cat", "chmod", "cksum", "date", "df", "dirname", "find", "grep", "head", "id",
          "ls", "mkdir", "paste", "rm", "sed", "sh", "sort", "tail", "tr", "xargs");

  private static final List<String> MODULES =
      List.of(
          ".",
          "core",
          "schemas",
          "operators",
          "jobs",
          "flink",
          "trainer-java",
          "training",
          "dashboard",
          "cli");

  @TempDir Path folder;

  @Test
  void saysWhichPackageBringsAMissingJdk() throws Exception {
    Outcome outcome = run(Map.of(), "topics");
    assertThat(outcome.error)
        .isEqualTo(
            "gradflow: needs a JDK 17 or newer, found no javac; install it: apt-get install openjdk-17-jdk-headless\n");
    assertThat(outcome.code).isEqualTo(1);
    assertThat(outcome.output).isEmpty();
  }

  @Test
  void saysThatJavaHomeIsWrong() throws Exception {
    Outcome outcome = run(Map.of("JAVA_HOME", "/nowhere"), "topics");
    assertThat(outcome.error)
        .isEqualTo(
            "gradflow: expected a JDK 17 or newer in JAVA_HOME=/nowhere, found no bin/javac; correct or unset JAVA_HOME\n");
    assertThat(outcome.code).isEqualTo(1);
  }

  @Test
  void saysThatTheJdkIsTooOld() throws Exception {
    script("javac", "");
    script("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2");
    Outcome outcome = run(Map.of(), "topics");
    assertThat(outcome.error)
        .startsWith("gradflow: needs JDK 17 or newer, found openjdk version \"11.0.2\"");
    assertThat(outcome.error).hasLineCount(1);
    assertThat(outcome.code).isEqualTo(1);
  }

  @Test
  void saysWhichPackageBringsMissingMaven() throws Exception {
    aJdk();
    Outcome outcome = run(Map.of(), "topics");
    assertThat(outcome.error)
        .isEqualTo(
            "gradflow: needs Maven to build, found no mvn; install it: apt-get install maven\n");
    assertThat(outcome.code).isEqualTo(1);
  }

  @Test
  void saysThatTheDiskIsFull() throws Exception {
    aJdk();
    script("mvn", "exit 9");
    script("df", "printf 'name\\n/dev/full 100 90 10240 90%% /\\n'");
    Outcome outcome = run(Map.of(), "topics");
    assertThat(outcome.error)
        .startsWith("gradflow: needs 1500 MB of free disk to build, found 10 MB at ")
        .hasLineCount(1);
    assertThat(outcome.code).isEqualTo(1);
  }

  @Test
  void showsWhyABuildFailedAndPassesMavensArguments() throws Exception {
    aJdk();
    script("mvn", "echo \"[ERROR] got $*\"; exit 1");
    Outcome outcome = run(Map.of("MAVEN_ARGS", "-Dmaven.repo.local=" + folder), "topics");
    assertThat(outcome.error)
        .contains("  got -B -Dmaven.repo.local=" + folder + " package")
        .contains("gradflow: the build failed; all of it is in ");
    assertThat(outcome.code).isEqualTo(1);
    assertThat(outcome.output).isEmpty();
  }

  @Test
  void countsTestsOnTheLastLineOfItsOutput() throws Exception {
    aJdk();
    script(
        "mvn",
        """
        mkdir -p core/target/surefire-reports training/target/surefire-reports
        cat >core/target/surefire-reports/TEST-a.xml <<'X'
        <testsuite name="a" time="1" tests="5" errors="1" skipped="1" failures="1">
          <testcase name="fine" classname="a" time="1"/>
          <testcase name="breaks" classname="a" time="1">
            <failure message="&#10;Expected: &lt;1&gt; &amp; &quot;two&quot;&#10;  got 3">no</failure>
          </testcase>
          <testcase name="throws" classname="a" time="1">
            <error type="x">no</error>
          </testcase>
        </testsuite>
        X
        cat >training/target/surefire-reports/TEST-b.xml <<'X'
        <testsuite name="b" time="1" tests="2" errors="0" skipped="0" failures="0">
        </testsuite>
        X
        """);
    aPython("exit 0");
    programs("chromium", "prometheus", "prometheus-alertmanager");
    Outcome all = run(Map.of(), "test");
    assertThat(all.output).isEqualTo("5 passed, 2 failed, 1 skipped\n");
    assertThat(all.error)
        .contains("  failed: a.breaks: Expected: <1> & \"two\" got 3\n", "  failed: a.throws\n");
    assertThat(all.code).isEqualTo(1);

    Outcome one = run(Map.of(), "test", "training");
    assertThat(one.output).isEqualTo("2 passed, 0 failed, 0 skipped\n");
    assertThat(one.code).isZero();
  }

  @Test
  void installsThePythonPackageOnceAndAgainWhenItsSourcesChange() throws Exception {
    aJdk();
    script("mvn", "exit 9");
    aPython("exit 0");
    Outcome first = run(Map.of(), "test", "trainer-python");
    assertThat(first.output).isEqualTo("1 passed, 0 failed, 0 skipped\n");
    assertThat(first.error).contains("installing PyTorch into ").contains("1 passed in 1 s");
    assertThat(folder.resolve("pip-got"))
        .content()
        .hasLineCount(1)
        .contains("trainer-python[test]");

    assertThat(run(Map.of(), "test", "trainer-python").code).isZero();
    assertThat(folder.resolve("pip-got")).content().hasLineCount(1);

    Files.writeString(folder.resolve("trainer-python/src/a.py"), "a = 2");
    assertThat(run(Map.of(), "test", "trainer-python").code).isZero();
    assertThat(folder.resolve("pip-got"))
        .content()
        .hasLineCount(2)
        .contains("--no-deps --force-reinstall");
  }

  @Test
  void saysWhyThePythonPackageCannotBeInstalled() throws Exception {
    aJdk();
    script("mvn", "exit 9");
    aPython("echo 'ERROR: no such torch'; exit 1");
    Outcome outcome = run(Map.of(), "test", "trainers");
    assertThat(outcome.error)
        .contains("gradflow: pip could not install ")
        .contains(": ERROR: no such torch; see ");
    assertThat(outcome.code).isEqualTo(1);
    assertThat(outcome.output).isEmpty();
  }

  @Test
  void theSimulationIsBuiltAndGetsItsSeed() throws Exception {
    aJdk();
    script("java", "echo 'openjdk version \"17.0.15\"' >&2; echo \"ran $*\"");
    script("mvn", "echo \"$*\" >maven-got");
    Outcome outcome = run(Map.of(), "test", "simulation", "--seed", "7");
    assertThat(outcome.output).endsWith("io.gradflow.core.simulation.Simulate --seed 7\n");
    assertThat(folder.resolve("maven-got")).hasContent("-B test-compile -pl core\n");
    assertThat(outcome.code).isZero();
    assertThat(run(Map.of(), "test", "simulation", "--help").output)
        .contains("gradflow test simulation [--seeds N | --seed N]");

    script("mvn", "echo '[ERROR] no'; exit 1");
    Outcome broken = run(Map.of(), "test", "simulation");
    assertThat(broken.error).contains("  no\n").contains("gradflow: the build failed");
    assertThat(broken.code).isEqualTo(1);
  }

  @Test
  void benchmarksAreBuiltAndGetTheirName() throws Exception {
    aJdk();
    script("java", "echo 'openjdk version \"17.0.15\"' >&2; echo \"ran $* with $OMP_NUM_THREADS\"");
    script(
        "mvn",
        "echo \"$*\" >maven-got; mkdir -p benchmarks/target; echo libraries >benchmarks/target/classpath");
    Outcome outcome = run(Map.of(), "bench", "links");
    assertThat(outcome.output)
        .endsWith(
            "/benchmarks/target/classes:libraries io.gradflow.benchmarks.Bench links with 1\n");
    assertThat(folder.resolve("maven-got"))
        .content()
        .startsWith("-B compile dependency:build-classpath -pl benchmarks -am ");
    assertThat(outcome.code).isZero();
    assertThat(run(Map.of(), "quality", "--short").output)
        .contains("-Dgradflow.workspace=" + folder.toRealPath())
        .endsWith(":libraries io.gradflow.benchmarks.quality.Quality --short with 1\n");

    script("mvn", "echo '[ERROR] no'; exit 1");
    Outcome broken = run(Map.of(), "bench");
    assertThat(broken.error).contains("  no\n").contains("gradflow: the build failed");
    assertThat(broken.code).isEqualTo(1);
  }

  @Test
  void saysWhatTestsOfThePageNeedAndDoesWithoutForOthers() throws Exception {
    aJdk();
    aPython("exit 0");
    script("mvn", "mkdir -p training/target");
    assertThat(run(Map.of(), "test", "page").error)
        .isEqualTo(
            "gradflow: needs chromium to test the page and its metrics, found none; install what is missing: apt-get install chromium\n");
    assertThat(run(Map.of(), "screenshots").error).startsWith("gradflow: needs chromium to ");
    programs("chromium", "prometheus");
    Outcome all = run(Map.of(), "test");
    assertThat(all.error)
        .isEqualTo(
            "gradflow: needs prometheus-alertmanager to test the page and its metrics, found none; install what is missing: apt-get install prometheus-alertmanager\n");
    assertThat(all.code).isEqualTo(1);
    assertThat(run(Map.of(), "test", "training").code).isZero();
  }

  @Test
  void rootGetsThePackagesThatAreMissing() throws Exception {
    aJdk();
    script("mvn", "echo \"$*\" >maven-got");
    script("df", "printf 'name\\n/dev/empty 1 1 99999999 1%% /\\n'");
    script("apt-get", "echo \"$*\" >>\"$HOME/apt-got\"");
    Outcome outcome = runBy(0, Map.of(), "test", "page");
    assertThat(outcome.error).startsWith("installing chromium\n");
    assertThat(folder.resolve("apt-got")).hasContent("update\ninstall -y chromium\n");
    assertThat(folder.resolve("maven-got"))
        .content()
        .contains(" -pl integration-tests -am -Dtest=PageTest,PageModulesTest ");
    assertThat(outcome.code).isZero();
  }

  @Test
  void screenshotsAreTakenByWhatTheTestsAreBuiltWith() throws Exception {
    aJdk();
    programs("chromium");
    script("df", "printf 'name\\n/dev/empty 1 1 99999999 1%% /\\n'");
    script("java", "echo 'openjdk version \"17.0.15\"' >&2; echo \"ran $*\"");
    script(
        "mvn",
        "mkdir -p integration-tests/target; echo libraries >integration-tests/target/classpath");
    Outcome outcome = run(Map.of(), "screenshots", "--out", "here");
    assertThat(outcome.output)
        .endsWith(
            "/integration-tests/target/test-classes:libraries io.gradflow.cli.Screenshots --out here\n");
    assertThat(outcome.code).isZero();
  }

  @Test
  void refusesUnknownGroupsOfTests() throws Exception {
    Outcome outcome = run(Map.of(), "test", "nonsense");
    assertThat(outcome.error)
        .isEqualTo(
            "gradflow: expected one of: trainer-python core schemas operators jobs trainer-java trainer-java-dl4j trainer-java-djl training dashboard flink-sql cli integration-tests benchmarks faults page trainers simulation; got: nonsense\n");
    assertThat(outcome.code).isEqualTo(2);
    assertThat(run(Map.of(), "test", "--help").output).startsWith("Usage: gradflow test [NAME]");
  }

  private record Outcome(int code, String output, String error) {}

  private void aJdk() throws IOException {
    script("javac", "");
    script("java", "echo 'openjdk version \"17.0.15\"' >&2");
  }

  /** A Python whose environments do nothing but this when they install, and have one test. */
  private void aPython(String pip) throws IOException {
    script("df", "printf 'name\\n/dev/empty 1 1 99999999 1%% /\\n'");
    Path sources = Files.createDirectories(folder.resolve("trainer-python/src"));
    Files.writeString(sources.resolve("a.py"), "a = 1");
    Files.writeString(folder.resolve("trainer-python/pyproject.toml"), "[project]");
    script(
        "python3",
        """
        case $1 in --version) echo Python 3.11.7 ;; -m)
        mkdir -p "$3/bin"
        cat >"$3/bin/pip" <<'X'
        #!/bin/sh
        echo "$*" >>"$HOME/pip-got"
        PIP
        X
        cat >"$3/bin/python" <<'X'
        #!/bin/sh
        cat >target/surefire-reports/TEST-trainer-python.xml <<'Y'
        <testsuites><testsuite name="pytest" tests="1" errors="0" skipped="0" failures="0"><testcase classname="t" name="one"/></testsuite></testsuites>
        Y
        echo 1 passed in 1 s
        X
        chmod +x "$3/bin/pip" "$3/bin/python" ;;
        esac
        """
            .replace("PIP", pip));
  }

  private void programs(String... names) throws IOException {
    for (String name : names) {
      script(name, "exit 9");
    }
  }

  private void script(String name, String body) throws IOException {
    Path file = Files.createDirectories(folder.resolve("bin")).resolve(name);
    Files.deleteIfExists(file);
    Files.writeString(file, "#!/bin/sh\n" + body + "\n");
    assertThat(file.toFile().setExecutable(true)).isTrue();
  }

  /**
   * Runs a copy of the script in an empty folder, with no programs but a few and the faked ones.
   */
  private Outcome run(Map<String, String> environment, String... args) throws Exception {
    return runBy(1000, environment, args);
  }

  private Outcome runBy(int user, Map<String, String> environment, String... args)
      throws Exception {
    Path bin = Files.createDirectories(folder.resolve("bin"));
    for (String tool : TOOLS) {
      if (!Files.exists(bin.resolve(tool))) {
        script(tool, "exec " + which(tool) + " \"$@\"");
      }
    }
    script("sleep", "");
    // Nothing may be installed by a test, whoever runs it: PATH has no other apt-get than its own.
    script("id", "echo " + user);
    Path copy = folder.resolve("gradflow");
    if (!Files.exists(copy)) {
      Files.copy(SCRIPT, copy);
      for (String module : MODULES) {
        Files.createFile(Files.createDirectories(folder.resolve(module)).resolve("pom.xml"));
      }
    }
    List<String> command = new ArrayList<>(List.of(which("sh").toString(), copy.toString()));
    command.addAll(List.of(args));
    Path output = folder.resolve("output");
    Path error = folder.resolve("error");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectOutput(output.toFile())
            .redirectError(error.toFile());
    builder.environment().clear();
    builder.environment().put("PATH", bin.toString());
    builder.environment().put("HOME", folder.toString());
    builder.environment().putAll(environment);
    Process process = builder.start();
    assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
    return new Outcome(process.exitValue(), text(output), text(error));
  }

  private static Path which(String tool) {
    return List.of("/usr/bin", "/bin").stream()
        .map(directory -> Path.of(directory, tool))
        .filter(Files::isExecutable)
        .findFirst()
        .orElseThrow(() -> new AssertionError("no " + tool + " on this machine"));
  }

  private static String text(Path file) throws IOException {
    return Files.readString(file, StandardCharsets.UTF_8);
  }
}
