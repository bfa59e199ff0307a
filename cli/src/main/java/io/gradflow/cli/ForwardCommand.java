package io.gradflow.cli;

import com.sun.net.httpserver.HttpServer;
import io.gradflow.core.detect.Severity;
import io.gradflow.dashboard.forward.ForwardSettings;
import io.gradflow.dashboard.forward.Forwarder;
import io.gradflow.dashboard.forward.ForwardingFailed;
import io.gradflow.dashboard.forward.Links;
import io.gradflow.dashboard.forward.Selection;
import io.gradflow.dashboard.forward.Target;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.kafka.clients.CommonClientConfigs;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code gradflow forward}: takes incidents to where people are paged. */
@Command(
    name = "forward",
    description = {
      "Forwards the incidents in gradient-alerts to Alertmanagers and webhooks, until Ctrl-C.",
      "",
      "An Alertmanager has one alert for each incident, told again each minute while it is open.",
      "A webhook gets a POST of each transition, once and in order, with Idempotency-Key and, with a secret, X-Gradflow-Signature.",
      "What a target does not take waits in the topic; the position of each is kept in a consumer group of its own, so that one process can go on where another ended. Run one process for each prefix of groups.",
      "",
      "Options may stand in a file, which keeps URLs that are secrets from the list of processes: gradflow forward @FILE"
    },
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:done",
      "1:no broker or topic, or with --once a target refused something for good",
      "2:used wrongly"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class ForwardCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private KafkaCluster.WithClient cluster;

  @Option(
      names = "--alertmanager",
      paramLabel = "URL",
      description = "Base URL of an Alertmanager (API v2); any number, each is told everything.")
  private List<String> alertmanagers = List.of();

  @Option(
      names = "--alertmanager-auth-file",
      paramLabel = "FILE",
      description =
          "How the Alertmanagers know us: a line 'bearer TOKEN' or 'basic USER:PASSWORD'.")
  private Optional<Path> alertmanagerAuth;

  @Option(
      names = "--webhook",
      paramLabel = "URL",
      description = "Where each transition is posted to; any number.")
  private List<String> webhooks = List.of();

  @Option(
      names = "--webhook-auth-file",
      paramLabel = "FILE",
      description = "How the webhooks know us; the same form.")
  private Optional<Path> webhookAuth;

  @Option(
      names = "--webhook-secret-file",
      paramLabel = "FILE",
      description = "What bodies are signed with, a line: sha256=HMAC of the body, in hex.")
  private Optional<Path> webhookSecret;

  @Option(
      names = "--ca-file",
      paramLabel = "FILE",
      description = "PEM certificates that targets' are signed with (default: Java's).")
  private Optional<Path> certificates;

  @Option(
      names = "--min-severity",
      paramLabel = "info|warning|critical",
      defaultValue = "warning",
      description = "The mildest that are forwarded; info is advice (default: ${DEFAULT-VALUE}).")
  private Severity least;

  @Option(names = "--run", paramLabel = "R", description = "Only this run's; any number.")
  private List<String> runs = List.of();

  @Option(
      names = "--page-url",
      paramLabel = "URL",
      description = "Where people see gradflow's page, for links to the incident.")
  private Optional<String> page;

  @Option(
      names = "--runbook",
      paramLabel = "URL",
      description =
          "What the name of a kind in lower case is added to, for links: https://.../detectors.md#")
  private Optional<String> runbook;

  @Option(
      names = "--start",
      paramLabel = "latest|earliest",
      defaultValue = "latest",
      description =
          "What a target without a position is told: what comes from now on, and an Alertmanager what is open; or everything there is (default: ${DEFAULT-VALUE}).")
  private ForwardSettings.Start start;

  @Option(
      names = "--group",
      paramLabel = "PREFIX",
      defaultValue = "gradflow-forward",
      description = "Consumer groups are PREFIX-HASH, one a target (default: ${DEFAULT-VALUE}).")
  private String group;

  @Option(
      names = "--once",
      description = "Forward what is in the topic now, and end when the targets have taken it.")
  private boolean once;

  @Option(
      names = "--metrics-port",
      paramLabel = "N",
      description = "Serve /metrics on this port of the loopback interface; 0: any free one.")
  private OptionalInt metricsPort = OptionalInt.empty();

  @Override
  public Integer call() {
    ForwardSettings settings;
    HttpClient client;
    try {
      settings = settings();
      client = client();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
    try (Forwarder forwarder = Forwarder.start(settings, client, this::say)) {
      Optional<HttpServer> metrics =
          metricsPort.isPresent()
              ? Optional.of(serve(forwarder, metricsPort.getAsInt()))
              : Optional.empty();
      settings.targets().forEach(target -> say("forwarding to " + target));
      CountDownLatch done = new CountDownLatch(1);
      Runtime.getRuntime().addShutdownHook(new Thread(() -> end(forwarder, done), "ending"));
      long refused = forwarder.awaitEnd();
      metrics.ifPresent(server -> server.stop(0));
      done.countDown();
      return once && refused > 0 ? 1 : 0;
    } catch (ForwardingFailed e) {
      throw new CommandFailed(e.getMessage(), e);
    }
  }

  /** Lets what is under way be finished and remembered. */
  private static void end(Forwarder forwarder, CountDownLatch done) {
    forwarder.close();
    try {
      done.await(1, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void say(String line) {
    spec.commandLine().getErr().println(StyledLine.plain(line));
  }

  private ForwardSettings settings() {
    Map<String, String> kafka = new HashMap<>(cluster.client());
    kafka.put(CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG, cluster.bootstrapServers());
    return new ForwardSettings(
        kafka,
        group,
        targets(),
        new Selection(least, Set.copyOf(runs)),
        new Links(page, runbook),
        start,
        once ? ForwardSettings.End.CAUGHT_UP : ForwardSettings.End.NEVER);
  }

  private List<Target> targets() {
    List<Target> targets = new ArrayList<>();
    Optional<String> authorization =
        alertmanagerAuth.map(
            file -> authorization(new OptionFile("--alertmanager-auth-file", file)));
    for (String url : alertmanagers) {
      targets.add(
          target(
              "--alertmanager",
              Target.Kind.ALERTMANAGER,
              targets.size(),
              url,
              authorization,
              Optional.empty()));
    }
    Optional<String> ofWebhooks =
        webhookAuth.map(file -> authorization(new OptionFile("--webhook-auth-file", file)));
    Optional<String> secret =
        webhookSecret.map(file -> new OptionFile("--webhook-secret-file", file).line());
    for (String url : webhooks) {
      targets.add(
          target(
              "--webhook",
              Target.Kind.WEBHOOK,
              targets.size() - alertmanagers.size(),
              url,
              ofWebhooks,
              secret));
    }
    if (targets.isEmpty()) {
      throw new IllegalArgumentException(
          "expected at least one --alertmanager or --webhook, got none");
    }
    return targets;
  }

  /** The URL itself is not repeated in errors: it may be a secret. */
  private static Target target(
      String option,
      Target.Kind kind,
      int number,
      String url,
      Optional<String> authorization,
      Optional<String> secret) {
    URI parsed;
    try {
      parsed = new URI(url);
    } catch (java.net.URISyntaxException e) {
      throw new IllegalArgumentException(
          option + ": expected a URL like https://host:port/path, got none");
    }
    try {
      return new Target(kind, number, parsed, authorization, secret);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(option + ": " + e.getMessage(), e);
    }
  }

  private static String authorization(OptionFile given) {
    String[] words = given.line().split(" +", 2);
    String value = words.length == 2 ? words[1] : "";
    return switch (words[0].toLowerCase(Locale.ROOT)) {
      case "bearer" -> "Bearer " + value;
      case "basic" ->
          "Basic " + Base64.getEncoder().encodeToString(value.getBytes(StandardCharsets.UTF_8));
      default ->
          throw new IllegalArgumentException(
              "%s: expected a line 'bearer TOKEN' or 'basic USER:PASSWORD', got something else"
                  .formatted(given.file()));
    };
  }

  private HttpClient client() {
    HttpClient.Builder client = Forwarder.client();
    certificates.ifPresent(file -> client.sslContext(trusting(new OptionFile("--ca-file", file))));
    return client.build();
  }

  private static SSLContext trusting(OptionFile given) {
    try (InputStream in = Files.newInputStream(given.file())) {
      KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
      trusted.load(null, null);
      for (Certificate certificate :
          CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        trusted.setCertificateEntry("ca-" + trusted.size(), certificate);
      }
      if (trusted.size() == 0) {
        throw new IllegalArgumentException(
            "%s: expected PEM certificates in %s, got none"
                .formatted(given.option(), given.file()));
      }
      TrustManagerFactory trust =
          TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(trusted);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trust.getTrustManagers(), null);
      return context;
    } catch (IOException | GeneralSecurityException e) {
      throw given.unreadable(e);
    }
  }

  private HttpServer serve(Forwarder forwarder, int port) {
    try {
      HttpServer server =
          HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
      server.createContext(
          "/metrics",
          exchange -> {
            byte[] body = forwarder.metrics().getBytes(StandardCharsets.UTF_8);
            exchange
                .getResponseHeaders()
                .set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            exchange.sendResponseHeaders(200, body.length);
            try (OutputStream out = exchange.getResponseBody()) {
              out.write(body);
            }
          });
      server.start();
      say("metrics at http://127.0.0.1:%d/metrics".formatted(server.getAddress().getPort()));
      return server;
    } catch (IOException e) {
      throw new CommandFailed(
          "port %d is in use, and the metrics need it: stop what listens there, or choose another with --metrics-port"
              .formatted(port),
          e);
    }
  }
}
