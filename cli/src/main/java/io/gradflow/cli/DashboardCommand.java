package io.gradflow.cli;

import io.gradflow.dashboard.Dashboard;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.dashboard.web.DashboardOptions;
import io.gradflow.dashboard.web.DashboardOptions.Limits;
import io.gradflow.dashboard.web.DashboardOptions.Tls;
import io.gradflow.dashboard.web.DashboardOptions.Writes;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code gradflow dashboard}: the page of all runs of a cluster. */
@Command(
    name = "dashboard",
    description = {
      "Serves the page of a cluster's runs, and its metrics for Prometheus at /metrics, until Ctrl-C.",
      "It reads the output topics alone, and needs no database. Whoever can reach it may read: on another"
          + " address than this machine's own it demands a token and a certificate."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class DashboardCommand implements Callable<Integer> {
  private static final Pattern ADDRESS = Pattern.compile("(\\[[^\\]]*\\]|[^:\\[\\]]+):(\\d{1,5})");
  private static final int HIGHEST_PORT = 65_535;

  @Spec private CommandSpec spec;

  @Mixin private KafkaCluster.WithClient kafka;

  @Option(
      names = "--schema-registry",
      paramLabel = "URL",
      description = "Where the schemas are, if the jobs write Confluent's framing.")
  private Optional<URI> registry = Optional.empty();

  @Option(
      names = "--listen",
      paramLabel = "HOST:PORT",
      description =
          "Where the page is served; port 0 is any free one (default: 127.0.0.1:8080, or any free port).")
  private Optional<String> listen = Optional.empty();

  @Option(
      names = "--name",
      paramLabel = "HOST",
      description = "What browsers may call the server by, beside its address; any number.")
  private List<String> names = List.of();

  @Option(
      names = "--token-file",
      paramLabel = "FILE",
      description = "What readers must know, a line of 16 characters or more.")
  private Optional<Path> token = Optional.empty();

  @ArgGroup(exclusive = false)
  private Certificate certificate;

  @Option(
      names = "--allow-writes",
      description = "The page may write verdicts, rules and requests for captures.")
  private boolean allowWrites;

  @Option(
      names = "--runbook",
      paramLabel = "URL",
      defaultValue = "",
      description =
          "What the name of a kind in lower case is added to, for links: https://.../detectors.md#")
  private String runbook;

  @Option(
      names = "--metrics-per-run",
      description = "Metrics of single runs too, of the 50 that were last updated.")
  private boolean metricsPerRun;

  @Option(
      names = "--memory",
      paramLabel = "MIB",
      description = "What the steps of all runs may take (default: 256); older ones are read back.")
  private Optional<Long> memory = Optional.empty();

  @Option(
      names = "--backfill",
      paramLabel = "N",
      description = "Records to begin with, of each partition of gradient-steps (default: 20000).")
  private Optional<Long> backfill = Optional.empty();

  @Option(
      names = "--clients",
      paramLabel = "N",
      description = "Open pages at once (default: 1000).")
  private Optional<Integer> clients = Optional.empty();

  /** What the server shows that it is itself. */
  static final class Certificate {
    @Option(
        names = "--tls-certificate",
        paramLabel = "FILE",
        required = true,
        description = "PEM: the server's certificate, then those that vouch for it.")
    private Path file;

    @Option(
        names = "--tls-key",
        paramLabel = "FILE",
        required = true,
        description = "PEM: its private key, PKCS #8, not encrypted.")
    private Path key;
  }

  @Override
  public Integer call() throws InterruptedException {
    DashboardOptions options = options();
    try (Dashboard dashboard = LocalPage.start(options)) {
      spec.commandLine().getOut().printf("page %s%n", dashboard.uri());
      spec.commandLine().getOut().flush();
      sayIfNoBrokerAnswers(options);
      new CountDownLatch(1).await();
    }
    return 0;
  }

  private DashboardOptions options() {
    try {
      return new DashboardOptions(
          kafka.bootstrapServers(),
          kafka.client(),
          registry,
          address(),
          Set.copyOf(names),
          token.map(file -> new OptionFile("--token-file", file).text()),
          Optional.ofNullable(certificate).map(given -> new Tls(given.file, given.key)),
          allowWrites ? Writes.ALLOWED : Writes.REFUSED,
          runbook,
          metricsPerRun ? PageMetrics.OfRuns.LATEST : PageMetrics.OfRuns.NONE,
          new Limits(
              memory.map(DashboardCommand::windowBytes).orElse(Limits.USUAL.windowBytes()),
              backfill.orElse(Limits.USUAL.backfill()),
              clients.orElse(Limits.USUAL.clients())),
          Optional.empty());
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  /** Half of the heap is left for what is read and answered. */
  private static long windowBytes(long mebibytes) {
    long most = Runtime.getRuntime().maxMemory() >> 21;
    if (mebibytes > most) {
      throw new IllegalArgumentException(
          "--memory: expected at most %d MiB, half of this process's heap, got %d"
              .formatted(most, mebibytes));
    }
    return mebibytes << 20;
  }

  private InetSocketAddress address() {
    if (listen.isEmpty()) {
      return new InetSocketAddress(
          InetAddress.getLoopbackAddress(), Ports.ofPage(OptionalInt.empty()));
    }
    Matcher parts = ADDRESS.matcher(listen.get());
    if (!parts.matches() || Integer.parseInt(parts.group(2)) > HIGHEST_PORT) {
      throw new IllegalArgumentException(
          "--listen: expected host:port, e.g. 127.0.0.1:8080, got '%s'".formatted(listen.get()));
    }
    try {
      return new InetSocketAddress(
          InetAddress.getByName(parts.group(1)), Integer.parseInt(parts.group(2)));
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException(
          "--listen: expected an address of this machine, got '%s', which nobody knows"
              .formatted(parts.group(1)),
          e);
    }
  }

  /** The page comes by itself when the brokers do; a mistyped address never would. */
  private void sayIfNoBrokerAnswers(DashboardOptions options) {
    Properties properties = new Properties();
    properties.putAll(options.client());
    try (Topics topics = Topics.of(options.bootstrapServers(), properties)) {
      topics.requireBroker();
    } catch (CommandFailed e) {
      spec.commandLine()
          .getErr()
          .println("gradflow: " + e.getMessage() + "; the page waits for one");
      spec.commandLine().getErr().flush();
    }
  }
}
