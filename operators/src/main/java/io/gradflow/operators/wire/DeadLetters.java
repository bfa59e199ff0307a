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
 * and where they were. What was decoded and refused later has no bytes any more: identity and
 * coordinates alone.
 *
 * @param job name of the job
 * @param version of the job
 */
public record DeadLetters(String job, String version) implements Serializable {

  /** The dead letter of bytes that could not be read. */
  public OutgoingRecord of(RawRecord record, Undecodable failure) {
    Map<String, String> headers =
        headers(failure.reason().word(), failure.detail(), record.origin());
    byte[] value = record.value() == null ? new byte[0] : record.value();
    return new OutgoingRecord(Topic.DEAD_LETTERS.topicName(), record.key(), value, headers);
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
    byte[] key = rejection.id().runId().getBytes(StandardCharsets.UTF_8);
    return new OutgoingRecord(Topic.DEAD_LETTERS.topicName(), key, new byte[0], headers);
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
}
