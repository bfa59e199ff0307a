package io.gradflow.dashboard;

import com.sun.net.httpserver.HttpServer;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.dashboard.topics.RecordedTopics;
import io.gradflow.dashboard.topics.Requests;
import io.gradflow.dashboard.topics.TopicFeed;
import io.gradflow.dashboard.web.DashboardOptions;
import io.gradflow.dashboard.web.Sockets;
import io.gradflow.dashboard.web.WebServer;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.kafka.clients.CommonClientConfigs;

/**
 * The page's server: reads the output topics alone, keeps a bounded window of them, and serves it
 * over HTTP. It needs no broker to start, and comes back by itself whenever there is one.
 */
public final class Dashboard implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final URI uri;
  private final WebServer web;
  private final TopicFeed feed;
  private final RecordedTopics recorded;
  private final Optional<Requests> requests;

  private Dashboard(
      URI uri,
      WebServer web,
      TopicFeed feed,
      RecordedTopics recorded,
      Optional<Requests> requests) {
    this.uri = uri;
    this.web = web;
    this.feed = feed;
    this.recorded = recorded;
    this.requests = requests;
  }

  /**
   * Starts a server.
   *
   * @throws IOException if it cannot listen there, or its certificate cannot be read, in one line
   * @throws IllegalArgumentException if a setting of Kafka's clients is impossible
   */
  public static Dashboard start(DashboardOptions options) throws IOException {
    HttpServer server = Sockets.bind(options);
    try {
      return start(options, server);
    } catch (RuntimeException e) {
      server.stop(0);
      throw e;
    }
  }

  private static Dashboard start(DashboardOptions options, HttpServer server) {
    Map<String, Object> connection = new HashMap<>(options.client());
    connection.put(CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG, options.bootstrapServers());
    Supplier<WriterSchemas> writers =
        () -> options.registry().map(WriterSchemas::withRegistry).orElseGet(WriterSchemas::known);
    LiveRuns live = new LiveRuns(options.limits().windowBytes());
    PageMetrics metrics = new PageMetrics(live, options.runMetrics());
    TopicFeed feed = new TopicFeed(connection, writers, options.limits().backfill(), live, metrics);
    RecordedTopics recorded = new RecordedTopics(connection, writers);
    Optional<Requests> requests =
        options.writes() == DashboardOptions.Writes.ALLOWED
            ? Optional.of(new Requests(connection))
            : Optional.empty();
    WebServer web =
        new WebServer(server, options, version(), live, recorded, requests, metrics, PATIENCE);
    feed.start();
    web.start();
    return new Dashboard(uri(options, server.getAddress()), web, feed, recorded, requests);
  }

  private static String version() {
    String version = Dashboard.class.getPackage().getImplementationVersion();
    return version == null ? "development" : version;
  }

  private static URI uri(DashboardOptions options, InetSocketAddress bound) {
    String scheme = options.tls().isPresent() ? "https" : "http";
    String host = bound.getAddress().getHostAddress();
    boolean any = bound.getAddress().isAnyLocalAddress();
    return URI.create(
        "%s://%s:%d/"
            .formatted(
                scheme,
                any ? "localhost" : host.indexOf(':') < 0 ? host : "[" + host + "]",
                bound.getPort()));
  }

  /** Where the page is; without the token. */
  public URI uri() {
    return uri;
  }

  /** Ends all its threads, within about two seconds. */
  @Override
  public void close() {
    web.close();
    feed.close();
    recorded.close();
    requests.ifPresent(Requests::close);
  }
}
