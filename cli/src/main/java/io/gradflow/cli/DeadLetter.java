package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.schema.WriterSchemas;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;

/**
 * A record of the dead letters' topic.
 *
 * @param partition of the letter itself
 * @param offset of the letter itself
 * @param timestamp of the letter itself, ms since the epoch
 * @param headers by name, as text
 * @param key of the original; null if it had none, or was left out
 * @param value the original bytes; null if there are none
 */
record DeadLetter(
    int partition,
    long offset,
    long timestamp,
    Map<String, String> headers,
    byte[] key,
    byte[] value) {
  private static final int SHOWN_BYTES = 16;
  private static final HexFormat HEX = HexFormat.ofDelimiter(" ").withUpperCase();

  static DeadLetter of(ConsumerRecord<byte[], byte[]> record) {
    Map<String, String> headers = new LinkedHashMap<>();
    for (Header header : record.headers()) {
      String text =
          header.value() == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
      headers.put(header.key(), text);
    }
    return new DeadLetter(
        record.partition(),
        record.offset(),
        record.timestamp(),
        headers,
        record.key(),
        record.value());
  }

  /** Why it is here, a word; a question mark if somebody else wrote it and did not say. */
  String reason() {
    return headers.getOrDefault("reason", "?");
  }

  /** Where the original was, {@code topic-partition@offset}; empty if it was read nowhere. */
  Optional<String> origin() {
    return headers.containsKey("topic")
            && headers.containsKey("partition")
            && headers.containsKey("offset")
        ? Optional.of(
            "%s-%s@%s"
                .formatted(headers.get("topic"), headers.get("partition"), headers.get("offset")))
        : Optional.empty();
  }

  /**
   * Of which run it is, as far as anybody can tell: what was understood says so; bytes may.
   *
   * @param writers finds the schemas that bytes were written with
   */
  Optional<String> run(WriterSchemas writers) {
    return Optional.ofNullable(headers.get("run")).or(() -> writers.runOf(value));
  }

  /** One line for people. */
  String line() {
    return "%s  %-16s %s  (%s)"
        .formatted(
            Instant.ofEpochMilli(timestamp),
            reason(),
            headers.getOrDefault("detail", "no detail"),
            value == null
                ? headers.containsKey("omitted")
                    ? headers.get("omitted") + " bytes left out"
                    : "no bytes"
                : "%d bytes: %s".formatted(value.length, preview()));
  }

  private String preview() {
    return HEX.formatHex(value, 0, Math.min(value.length, SHOWN_BYTES))
        + (value.length > SHOWN_BYTES ? " ..." : "");
  }

  /** An object for scripts; what is absent is null. */
  ObjectNode json() {
    ObjectNode node = new ObjectMapper().createObjectNode();
    node.put("partition", partition).put("offset", offset).put("timestamp", timestamp);
    node.put("reason", reason()).put("detail", headers.get("detail"));
    node.put("origin", origin().orElse(null));
    ObjectNode all = node.putObject("headers");
    headers.forEach(all::put);
    node.put("key", key == null ? null : new String(key, StandardCharsets.UTF_8));
    if (value == null) {
      node.putNull("bytes").putNull("start");
    } else {
      node.put("bytes", value.length);
      node.put("start", HexFormat.of().formatHex(Arrays.copyOf(value, Math.min(value.length, 64))));
    }
    return node;
  }
}
