package io.gradflow.operators.wire;

import io.gradflow.core.Origin;
import io.gradflow.core.Rejection;
import io.gradflow.schema.Topic;
import io.gradflow.schema.Undecodable;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * How a job writes what it could not use: the original bytes, unchanged, with headers that say why
 * and where they were.
 *
 * <p>Headers: {@code reason}, a word of a closed set; {@code detail}, a sentence; {@code job} and
 * {@code version}; {@code topic, partition, offset, timestamp} of the record as it was read, the
 * topic alone of one that was to be written; {@code exception}, only where reading met one. What
 * was decoded and refused later has no bytes any more: its identity is in {@code run, attempt,
 * stream, step, rank}. Bytes that even the dead letters' topic does not take are left out, and
 * {@code omitted} says how many there were.
 *
 * @param job name of the job
 * @param version of the job
 */
public record DeadLetters(String job, String version) implements Serializable {
  /** The largest message that the dead letters' topic takes, in bytes. */
  public static final int MAX_MESSAGE_BYTES =
      Integer.parseInt(Topic.DEAD_LETTERS.settings().get("max.message.bytes"));

  /** What a letter's key and value may take, so that headers and framing fit too. */
  static final int MAX_LETTER_BYTES = MAX_MESSAGE_BYTES - (64 << 10);

  /** The dead letter of bytes that could not be read. */
  public OutgoingRecord of(RawRecord record, Undecodable failure) {
    Map<String, String> headers =
        headers(failure.reason().word(), failure.detail(), record.origin());
    if (failure.exception() != null) {
      headers.put("exception", failure.exception());
    }
    return letter(record.key(), record.value(), headers);
  }

  /** The dead letter of a record that was understood and could not be used. */
  public OutgoingRecord of(Rejection rejection) {
    Map<String, String> headers =
        headers(rejection.reason(), rejection.detail(), rejection.origin());
    headers.put("run", rejection.id().runId());
    headers.put("attempt", Long.toString(rejection.id().attempt()));
    headers.put("stream", rejection.id().stream());
    headers.put("step", Long.toString(rejection.id().step()));
    headers.put("rank", Integer.toString(rejection.rank()));
    return letter(rejection.id().runId().getBytes(StandardCharsets.UTF_8), null, headers);
  }

  /** The dead letter of a record that is too large for the topic it was to be written to. */
  public OutgoingRecord ofTooLarge(OutgoingRecord record, int limit) {
    String detail =
        "%s: expected a record of at most %d bytes, got %d"
            .formatted(record.topic(), limit, record.value().length);
    Map<String, String> headers = headers(Undecodable.Reason.TOO_LARGE.word(), detail, null);
    headers.put("topic", record.topic());
    return letter(record.key(), record.value(), headers);
  }

  private Map<String, String> headers(String reason, String detail, Origin origin) {
    Map<String, String> headers = new HashMap<>();
    headers.put("reason", reason);
    headers.put("detail", detail);
    headers.put("job", job);
    headers.put("version", version);
    if (origin != null) {
      headers.put("topic", origin.topic());
      headers.put("partition", Integer.toString(origin.partition()));
      headers.put("offset", Long.toString(origin.offset()));
      headers.put("timestamp", Long.toString(origin.timestamp()));
    }
    return headers;
  }

  /** A letter that the topic takes: one that it does not would fail the sink for ever. */
  private static OutgoingRecord letter(byte[] key, byte[] value, Map<String, String> headers) {
    long bytes = (key == null ? 0L : key.length) + (value == null ? 0L : value.length);
    boolean fits = bytes <= MAX_LETTER_BYTES;
    if (!fits) {
      headers.put("omitted", Long.toString(bytes));
    }
    return new OutgoingRecord(
        Topic.DEAD_LETTERS.topicName(), fits ? key : null, fits ? value : null, headers);
  }
}
