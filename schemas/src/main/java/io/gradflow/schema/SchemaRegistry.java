package io.gradflow.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.function.LongSupplier;
import org.apache.avro.Schema;

/**
 * Schemas by id from a registry that speaks Confluent's API ({@code GET /schemas/ids/<id>}).
 *
 * <p>A schema never changes under its id and is kept. A failure is kept for {@link #RETRY_AFTER}: a
 * registry that cannot be reached fails all ids at once until then, so that a dead registry costs
 * one timeout per half minute and not one per record.
 */
final class SchemaRegistry {
  static final Duration RETRY_AFTER = Duration.ofSeconds(30);
  private static final Duration TIMEOUT = Duration.ofSeconds(3);
  private static final int MAX_RESPONSE_BYTES = 1 << 20;
  private static final int MAX_KEPT = 1_000;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final URI base;
  private final LongSupplier nanoTime;
  private final HttpClient http =
      HttpClient.newBuilder()
          .connectTimeout(TIMEOUT)
          .followRedirects(HttpClient.Redirect.NORMAL)
          .build();
  private final Map<Integer, Schema> schemas = new HashMap<>();
  private final Map<Integer, Failure> failures = new HashMap<>();
  private Failure unreachable;

  private record Failure(String sentence, long at) {}

  SchemaRegistry(URI base, LongSupplier nanoTime) {
    this.base = base;
    this.nanoTime = nanoTime;
  }

  /**
   * The schema of an id.
   *
   * @throws Malformed if the registry has none, has one that is not Avro, or does not answer
   */
  Schema schema(int id) {
    Schema schema = schemas.get(id);
    if (schema != null) {
      return schema;
    }
    failRecent(unreachable);
    failRecent(failures.get(id));
    if (schemas.size() + failures.size() >= MAX_KEPT) {
      schemas.clear();
      failures.clear();
    }
    schema = fetch(id);
    schemas.put(id, schema);
    return schema;
  }

  private void failRecent(Failure failure) {
    if (failure != null && nanoTime.getAsLong() - failure.at() < RETRY_AFTER.toNanos()) {
      throw new Malformed(Undecodable.Reason.UNKNOWN_SCHEMA, failure.sentence());
    }
  }

  private Schema fetch(int id) {
    URI uri = URI.create(base.toString().replaceAll("/+$", "") + "/schemas/ids/" + id);
    HttpRequest request =
        HttpRequest.newBuilder(uri)
            .timeout(TIMEOUT)
            .header("Accept", "application/vnd.schemaregistry.v1+json, application/json")
            .build();
    int status;
    byte[] body;
    try {
      HttpResponse<InputStream> response =
          http.send(request, HttpResponse.BodyHandlers.ofInputStream());
      status = response.statusCode();
      try (InputStream in = response.body()) {
        body = in.readNBytes(MAX_RESPONSE_BYTES);
      }
    } catch (IOException e) {
      unreachable = failure("expected an answer from the schema registry " + uri + ", got " + e);
      throw new Malformed(Undecodable.Reason.UNKNOWN_SCHEMA, unreachable.sentence());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Malformed(
          Undecodable.Reason.UNKNOWN_SCHEMA, "interrupted while asking the schema registry " + uri);
    }
    if (status != 200) {
      throw failed(id, "expected schema " + id + " at " + uri + ", got HTTP status " + status);
    }
    return parse(id, uri, body);
  }

  private Schema parse(int id, URI uri, byte[] body) {
    try {
      JsonNode answer = JSON.readTree(body);
      if (!answer.path("schemaType").asText("AVRO").equals("AVRO")) {
        throw failed(id, "expected an Avro schema at " + uri + ", got " + answer.get("schemaType"));
      }
      return new Schema.Parser().parse(answer.path("schema").asText());
    } catch (IOException | org.apache.avro.AvroRuntimeException | StackOverflowError e) {
      throw failed(id, "expected an Avro schema at " + uri + ", got what cannot be parsed: " + e);
    }
  }

  private Malformed failed(int id, String sentence) {
    failures.put(id, failure(sentence));
    return new Malformed(Undecodable.Reason.UNKNOWN_SCHEMA, sentence);
  }

  private Failure failure(String sentence) {
    return new Failure(sentence, nanoTime.getAsLong());
  }
}
