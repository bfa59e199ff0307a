package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.gradflow.jobs.GradflowOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.client.program.PackagedProgram;
import org.apache.flink.client.program.PackagedProgramUtils;
import org.apache.flink.client.program.rest.RestClusterClient;
import org.apache.flink.configuration.BlobServerOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A job that analyses matrices is submitted to one cluster again and again, and the TaskManager
 * grows no further: ND4J is loaded once.
 */
@Tag("packaged")
class ResubmissionTest {
  private static final int SUBMISSIONS = 30;

  /** Caches fill, the heap is touched for the first time. */
  private static final int FIRST = 5;

  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final String TASK_MANAGER = "taskmanager-1";

  @TempDir static Path root;

  private static ClusterFolder folder;
  private static ClusterPlan plan;
  private static Path jar;

  @BeforeAll
  static void start() throws Exception {
    jar = jobsWithAnalysis();
    folder = new ClusterFolder(root.resolve("cluster"));
    Configuration configuration = new Configuration();
    configuration.set(TaskManagerOptions.NUM_TASK_SLOTS, 3);
    configuration.set(CoreOptions.DEFAULT_PARALLELISM, 1);
    // Flink keeps the jars of jobs that have ended for an hour otherwise.
    configuration.set(BlobServerOptions.CLEANUP_INTERVAL, 1L);
    plan =
        Cluster.in(folder)
            .up(
                new Cluster.Wanted(
                    OptionalInt.of(0), OptionalInt.of(0), 1, 1, configuration, List.of()),
                Cluster.Built.current(),
                new Progress(new PrintWriter(new StringWriter())));
  }

  @AfterAll
  static void stop() {
    if (folder != null) {
      Cluster.in(folder).down();
    }
  }

  @Test
  void thirtySubmissionsTakeNoMoreThanOne() throws Exception {
    List<Footprint> after = new ArrayList<>();
    System.out.println("submission  metaspace  heap used  resident  disk, MB");
    try (RestClusterClient<String> flink = client()) {
      for (int i = 1; i <= SUBMISSIONS; i++) {
        submitAndCancel(flink, root.resolve("analysed-" + i));
        Footprint footprint = Footprint.measured();
        System.out.printf("%10d  %s%n", i, footprint);
        after.add(footprint);
      }
    }
    Footprint before = after.get(FIRST - 1);
    Footprint last = after.get(SUBMISSIONS - 1);
    // A job whose classes stay takes 10 MB and more; ND4J loaded with each job took 280 MB of
    // memory
    // and 400 MB of disk.
    assertThat(last.metaspace - before.metaspace).as("MB of metaspace").isLessThan(30);
    assertThat(last.heap - before.heap).as("MB of heap").isLessThan(60);
    assertThat(last.resident - before.resident).as("MB resident").isLessThan(300);
    assertThat(last.disk - before.disk).as("MB of disk").isLessThan(200);
  }

  private static void submitAndCancel(RestClusterClient<String> flink, Path word) throws Exception {
    JobID id;
    try (PackagedProgram program =
        PackagedProgram.newBuilder()
            .setJarFile(jar.toFile())
            .setEntryPointClassName(AnalysisJob.class.getName())
            .setConfiguration(flink.getFlinkConfiguration())
            .setArguments(
                word.toString(),
                "--" + GradflowOptions.BOOTSTRAP_SERVERS.key(),
                plan.bootstrapServers(),
                "--" + GradflowOptions.GROUP_ID_PREFIX.key(),
                "resubmitted")
            .build()) {
      id =
          flink
              .submitJob(
                  PackagedProgramUtils.createJobGraph(
                      program, flink.getFlinkConfiguration(), 1, false))
              .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    }
    await().atMost(PATIENCE).until(() -> Files.exists(word));
    assertThat(word).hasContent("Nd4jMatrices: 399 follows 0 by 3");
    flink.cancel(id).get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    await()
        .atMost(PATIENCE)
        .until(
            () ->
                flink
                    .getJobStatus(id)
                    .get(PATIENCE.toSeconds(), TimeUnit.SECONDS)
                    .isTerminalState());
  }

  private static RestClusterClient<String> client() throws Exception {
    Configuration configuration = ClusterConfiguration.read(folder.conf().resolve("config.yaml"));
    // The job is defined by the classes of this test, and runs by those of the jar.
    configuration.set(CoreOptions.CLASSLOADER_RESOLVE_ORDER, "parent-first");
    return new RestClusterClient<>(configuration, "resubmitting");
  }

  /** The jar of the jobs with one more in it. */
  private static Path jobsWithAnalysis() throws IOException {
    Path copy = root.resolve("jobs-with-analysis.jar");
    Files.copy(Cluster.Built.current().jobJar(), copy, StandardCopyOption.REPLACE_EXISTING);
    String name = AnalysisJob.class.getName().replace('.', '/');
    Path classes;
    try {
      classes = Path.of(AnalysisJob.class.getResource("/" + name + ".class").toURI()).getParent();
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
    try (FileSystem inside = FileSystems.newFileSystem(copy);
        Stream<Path> files = Files.list(classes)) {
      Path to = Files.createDirectories(inside.getPath(name)).getParent();
      for (Path file :
          files.filter(each -> each.getFileName().toString().startsWith("AnalysisJob")).toList()) {
        Files.copy(file, to.resolve(file.getFileName().toString()));
      }
    }
    return copy;
  }

  /** What the TaskManager takes when its garbage is collected, and the cluster of disk; in MB. */
  private record Footprint(long metaspace, long heap, long resident, long disk) {
    private static final Pattern RESIDENT = Pattern.compile("VmRSS:\\s+(\\d+) kB");
    private static final Pattern METASPACE = Pattern.compile("Metaspace\\s+used (\\d+)K");
    private static final Pattern GENERATION =
        Pattern.compile("generation\\s+total \\d+K, used (\\d+)K");

    static Footprint measured() throws IOException, InterruptedException {
      long pid = folder.process(TASK_MANAGER).orElseThrow().pid();
      jcmd(pid, "GC.run");
      String heap = jcmd(pid, "GC.heap_info");
      return new Footprint(
          sum(METASPACE, heap),
          sum(GENERATION, heap),
          sum(RESIDENT, Files.readString(Path.of("/proc", Long.toString(pid), "status"))),
          megabytes(folder.root())
              + megabytes(Path.of(System.getProperty("user.home"), ".javacpp")));
    }

    private static long sum(Pattern kilobytes, String text) {
      Matcher matcher = kilobytes.matcher(text);
      long sum = 0;
      while (matcher.find()) {
        sum += Long.parseLong(matcher.group(1));
      }
      assertThat(sum).as("%s in %s", kilobytes, text).isPositive();
      return sum >> 10;
    }

    private static long megabytes(Path root) throws IOException, InterruptedException {
      return Long.parseLong(output("du", "-sm", root.toString()).split("\\s", 2)[0]);
    }

    private static String jcmd(long pid, String command) throws IOException, InterruptedException {
      return output(
          Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
          Long.toString(pid),
          command);
    }

    /** Files may vanish while they are counted. */
    private static String output(String... command) throws IOException, InterruptedException {
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
      return output;
    }

    @Override
    public String toString() {
      return "%9d  %9d  %8d  %4d".formatted(metaspace, heap, resident, disk);
    }
  }
}
