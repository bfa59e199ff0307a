package io.gradflow.cli;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Somebody who has the page open: holds what it was told, in the order it was told. */
final class PageClient implements AutoCloseable {
  /** Takes no object that has a name twice. */
  private static final ObjectMapper JSON =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private static final HttpClient HTTP = HttpClient.newHttpClient();

  private final Socket connection;
  private final Map<String, Map<Long, String>> steps = new TreeMap<>();
  private final List<String> events = new ArrayList<>();
  private final Map<String, JsonNode> latest = new TreeMap<>();
  private String lastId;

  private PageClient(Socket connection, PageClient before) {
    this.connection = connection;
    if (before != null) {
      before.steps.forEach((run, told) -> steps.put(run, new TreeMap<>(told)));
      lastId = before.lastId;
    }
  }

  /** Opens a stream; goes on from where another was, with what that one had been told. */
  static PageClient open(URI page, String run, PageClient before) {
    return follow(page, "run=" + encoded(run), before);
  }

  /** The same of two runs. */
  static PageClient open(URI page, String run, String run2, PageClient before) {
    return follow(page, "run=" + encoded(run) + "&run2=" + encoded(run2), before);
  }

  private static PageClient follow(URI page, String query, PageClient before) {
    try {
      Socket connection = new Socket(page.getHost(), page.getPort());
      PageClient client = new PageClient(connection, before);
      // Of HTTP 1.0: without chunks the stream is lines and nothing else.
      String request =
          "GET /api/events?%s HTTP/1.0\r\nHost: localhost\r\n%s\r\n"
              .formatted(query, before == null ? "" : "Last-Event-ID: " + before.lastId() + "\r\n");
      connection.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
      InputStream in = connection.getInputStream();
      Thread thread = new Thread(() -> client.read(in), "a client of the page");
      thread.setDaemon(true);
      thread.start();
      return client;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }

  private void read(InputStream in) {
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
      String id = null;
      String type = null;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("id: ")) {
          id = line.substring(4);
        } else if (line.startsWith("event: ")) {
          type = line.substring(7);
        } else if (line.startsWith("data: ")) {
          take(type, id, JSON.readTree(line.substring(6)));
        }
      }
    } catch (IOException e) {
      // The server or this client has ended.
    }
  }

  private synchronized void take(String type, String id, JsonNode data) {
    lastId = id == null ? lastId : id;
    latest.put(type, data);
    switch (type) {
      case "step" -> of(data).put(data.get("step").longValue(), data.get("cells").textValue());
      case "rewind" -> of(data).keySet().removeIf(step -> step >= data.get("from").longValue());
      default -> {}
    }
    if (!type.equals("pulse")) {
      events.add(type);
    }
  }

  private Map<Long, String> of(JsonNode data) {
    return steps.computeIfAbsent(data.get("run").textValue(), run -> new TreeMap<>());
  }

  synchronized String lastId() {
    return lastId;
  }

  /** Cells of the steps told, as they came, of a client of one run. */
  synchronized Map<Long, String> steps() {
    Map<Long, String> told = new TreeMap<>();
    steps.values().forEach(told::putAll);
    return told;
  }

  /** Cells of the steps told of a run. */
  synchronized Map<Long, String> steps(String run) {
    return new TreeMap<>(steps.getOrDefault(run, Map.of()));
  }

  /** Kinds of the events told, but for pulses. */
  synchronized List<String> events() {
    return List.copyOf(events);
  }

  /** The data of the last event of a kind; null if there was none. */
  synchronized JsonNode latest(String type) {
    return latest.get(type);
  }

  static JsonNode get(URI page, String path) {
    try {
      return JSON.readTree(bytes(page, path).body());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static HttpResponse<byte[]> bytes(URI page, String path) {
    return send(HttpRequest.newBuilder(page.resolve(path)).build());
  }

  static HttpResponse<byte[]> post(URI page, String path, String body) {
    return send(
        HttpRequest.newBuilder(page.resolve(path))
            .header("Content-Type", "application/json")
            .header("X-Gradflow", "page")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build());
  }

  private static HttpResponse<byte[]> send(HttpRequest request) {
    try {
      return HTTP.send(request, HttpResponse.BodyHandlers.ofByteArray());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    try {
      connection.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
