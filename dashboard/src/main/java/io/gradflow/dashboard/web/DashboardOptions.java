package io.gradflow.dashboard.web;

import io.gradflow.dashboard.metrics.PageMetrics;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * How the page is served. What does not go together is refused with one line.
 *
 * @param bootstrapServers {@code host:port} of brokers
 * @param client further settings of Kafka's clients by Kafka's names, e.g. {@code
 *     security.protocol}
 * @param registry of schemas; empty: none
 * @param listen the address served; port 0 is any free one. Another than the loopback interface's
 *     demands a token and TLS
 * @param names that the server may be called by beside those of the loopback interface and the
 *     address itself
 * @param token that readers must have, at least 16 characters; empty: all may read who reach the
 *     address
 * @param tls certificate and key; empty: plain HTTP
 * @param writes whether the page may write verdicts, rules and requests for captures
 * @param runbook what a kind of incident is appended to for the link to its description; empty: no
 *     links
 * @param runMetrics which metrics there are of single runs
 * @param limits bounds of what is kept and served
 * @param demo steers a training; empty: there is none
 */
public record DashboardOptions(
    String bootstrapServers,
    Map<String, String> client,
    Optional<URI> registry,
    InetSocketAddress listen,
    Set<String> names,
    Optional<String> token,
    Optional<Tls> tls,
    Writes writes,
    String runbook,
    PageMetrics.OfRuns runMetrics,
    Limits limits,
    Optional<DemoControl> demo) {

  private static final int LEAST_TOKEN = 16;

  /** Whether the page may write. */
  public enum Writes {
    REFUSED,
    ALLOWED
  }

  /**
   * What the server shows that it is itself.
   *
   * @param certificates PEM file: its own certificate, then those that vouch for it
   * @param key PEM file: the private key, PKCS #8, not encrypted
   */
  public record Tls(Path certificates, Path key) {}

  /**
   * Bounds.
   *
   * @param windowBytes memory that the steps of all runs may take
   * @param backfill records before the end of each partition of gradient-steps to begin with
   * @param clients open pages at once
   */
  public record Limits(long windowBytes, long backfill, int clients) {
    /** 256 MiB, 20,000 records, 1,000 pages. */
    public static final Limits USUAL = new Limits(256L << 20, 20_000, 1_000);

    /** Refuses what cannot be. */
    public Limits {
      require(windowBytes >= 1 << 20, "window memory", "1 MiB or more", windowBytes + " bytes");
      require(backfill >= 0, "backfill", "0 records or more", backfill);
      require(clients >= 1, "clients", "1 or more", clients);
    }
  }

  /** Refuses what does not go together. */
  public DashboardOptions {
    require(!bootstrapServers.isBlank(), "bootstrap servers", "host:port", "nothing");
    client = Map.copyOf(client);
    names = Set.copyOf(names);
    require(!listen.isUnresolved(), "listen address", "one of this machine", listen);
    token.ifPresent(
        text ->
            require(
                text.length() >= LEAST_TOKEN,
                "token",
                LEAST_TOKEN + " characters or more",
                text.length()));
    InetAddress address = listen.getAddress();
    if (address != null && !address.isLoopbackAddress()) {
      require(
          token.isPresent() && tls.isPresent(),
          "listen address " + address.getHostAddress(),
          "a token and a certificate, for others can reach it",
          (token.isPresent() ? "no certificate" : "no token")
              + ": give both, or listen on 127.0.0.1");
    }
    require(
        runbook.isEmpty() || runbook.startsWith("https://") || runbook.startsWith("http://"),
        "runbook",
        "an http or https address",
        "another");
  }

  private static void require(boolean holds, String what, String expected, Object got) {
    if (!holds) {
      throw new IllegalArgumentException("%s: expected %s, got %s".formatted(what, expected, got));
    }
  }

  /** A page for this machine alone, on a port, that may not write. */
  public static DashboardOptions local(String bootstrapServers, int port) {
    return new DashboardOptions(
        bootstrapServers,
        Map.of(),
        Optional.empty(),
        new InetSocketAddress(InetAddress.getLoopbackAddress(), port),
        Set.of(),
        Optional.empty(),
        Optional.empty(),
        Writes.REFUSED,
        "",
        PageMetrics.OfRuns.NONE,
        Limits.USUAL,
        Optional.empty());
  }
}
