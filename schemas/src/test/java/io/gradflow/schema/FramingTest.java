package io.gradflow.schema;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import io.gradflow.core.detect.Rule;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.avro.SchemaNormalization;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Both framings, and a registry that answers, refuses, talks nonsense or is away. */
class FramingTest {
  private final Rule rule = new Samples(1).rule();
  private final byte[] singleObject = Codecs.RULES.encode(rule).get(0).value();
  private final AtomicInteger requests = new AtomicInteger();
  private final AtomicLong nanoTime = new AtomicLong();
  private HttpServer server;
  private URI base;

  @BeforeEach
  void startRegistry() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    base = URI.create("http://localhost:" + server.getAddress().getPort() + "/apis/ccompat/v7/");
    String answer =
        new ObjectMapper().writeValueAsString(Map.of("schema", Topic.RULES.schema().toString()));
    Map<String, String> bodies = Map.of("7", answer, "8", "{\"schema\": \"nonsense\"}", "9", "[");
    server.createContext(
        "/apis/ccompat/v7/schemas/ids/",
        exchange -> {
          requests.incrementAndGet();
          String path = exchange.getRequestURI().getPath();
          String body = bodies.get(path.substring(path.lastIndexOf('/') + 1));
          byte[] bytes = (body == null ? "{}" : body).getBytes(UTF_8);
          exchange.sendResponseHeaders(body == null ? 404 : 200, bytes.length);
          exchange.getResponseBody().write(bytes);
          exchange.close();
        });
    server.start();
  }

  @AfterEach
  void stopRegistry() {
    server.stop(0);
  }

  @Test
  void singleObjectNamesTheFingerprintOfItsSchema() {
    assertThat(singleObject).startsWith(0xC3, 0x01);
    assertThat(Long.reverseBytes(ByteBuffer.wrap(singleObject).getLong(2)))
        .isEqualTo(SchemaNormalization.parsingFingerprint64(Topic.RULES.schema()));
  }

  @Test
  void anUnknownFingerprintIsNamed() {
    byte[] bytes = singleObject.clone();
    ByteBuffer.wrap(bytes).putLong(2, Long.reverseBytes(0xABCL));
    Undecodable failure = decoder(WriterSchemas.known()).decode(bytes, null).failure();
    assertThat(failure.reason().word()).isEqualTo("unknown-schema");
    assertThat(failure.detail())
        .isEqualTo(
            "gradient-rules: expected the fingerprint of a schema of this release or an earlier"
                + " one, got 0000000000000abc: upgrade the jobs before the trainers");
  }

  @Test
  void unknownFramingIsNamed() {
    Undecodable failure =
        decoder(WriterSchemas.known()).decode("{\"json\": true}".getBytes(UTF_8), null).failure();
    assertThat(failure.reason().word()).isEqualTo("unknown-framing");
    assertThat(failure.detail())
        .isEqualTo(
            "gradient-rules: expected Avro after C3 01 and a fingerprint, or after 00 and a schema"
                + " id, got 14 bytes starting 7B 22");
  }

  @Test
  void confluentFramingWithoutARegistrySaysWhichOptionToSet() {
    Undecodable failure = decoder(WriterSchemas.known()).decode(confluent(7), null).failure();
    assertThat(failure.reason().word()).isEqualTo("unknown-schema");
    assertThat(failure.detail())
        .isEqualTo(
            "gradient-rules: expected a configured schema registry for a record with schema id 7,"
                + " got none: set gradflow.schema.registry.url");
  }

  @Test
  void confluentFramingIsReadWithTheRegistrysSchemaAskedForOnce() {
    Decoder<Rule> decoder = decoder(WriterSchemas.withRegistry(base));
    for (int i = 0; i < 3; i++) {
      assertThat(decoder.decode(confluent(7), null).value()).isEqualTo(rule);
    }
    assertThat(decoder.decode(singleObject, null).value()).isEqualTo(rule);
    assertThat(requests).hasValue(1);
  }

  @Test
  void aFailureOfTheRegistryIsRememberedForAWhile() {
    SchemaRegistry registry = new SchemaRegistry(base, nanoTime::get);
    assertThat(refusal(registry, 5)).contains("expected schema 5", "got HTTP status 404");
    assertThat(refusal(registry, 5)).contains("got HTTP status 404");
    assertThat(requests).hasValue(1);
    assertThat(refusal(registry, 6)).contains("expected schema 6");
    nanoTime.addAndGet(SchemaRegistry.RETRY_AFTER.toNanos());
    assertThat(refusal(registry, 5)).contains("got HTTP status 404");
    assertThat(requests).hasValue(3);
    assertThat(refusal(registry, 8)).contains("expected an Avro schema");
    assertThat(refusal(registry, 9)).contains("expected an Avro schema");
  }

  @Test
  void aRegistryThatIsAwayFailsAllIdsAtOnce() {
    server.stop(0);
    SchemaRegistry registry = new SchemaRegistry(base, nanoTime::get);
    String first = refusal(registry, 7);
    assertThat(first).contains("expected an answer from the schema registry", "/schemas/ids/7");
    assertThat(refusal(registry, 8)).isEqualTo(first);
  }

  private static String refusal(SchemaRegistry registry, int id) {
    try {
      return "found " + registry.schema(id);
    } catch (Malformed e) {
      assertThat(e.reason()).isEqualTo(Undecodable.Reason.UNKNOWN_SCHEMA);
      return e.getMessage();
    }
  }

  private static Decoder<Rule> decoder(WriterSchemas writers) {
    return Codecs.RULES.decoder(writers);
  }

  private byte[] confluent(int id) {
    int body = singleObject.length - 10;
    return ByteBuffer.allocate(5 + body)
        .put((byte) 0)
        .putInt(id)
        .put(singleObject, 10, body)
        .array();
  }
}
