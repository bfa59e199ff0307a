package io.gradflow.operators.wire;

import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.Topic;
import java.util.Map;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.function.SerializableSupplier;

/**
 * Turns values into records of their topic, several when one would be too large.
 *
 * <p>A record that stays too large for its topic would fail the sink, and the job with it, for
 * ever: it goes to {@link #OVERSIZED} instead, addressed to the dead letters.
 *
 * @param <T> the topic's value
 */
public final class EncodeRecords<T> extends ProcessFunction<T, OutgoingRecord> {
  /** Records too large for their topic, addressed to the dead letters. */
  public static final OutputTag<OutgoingRecord> OVERSIZED =
      new OutputTag<>("oversized", RecordTypes.of(OutgoingRecord.class));

  /** Kafka's usual limit of 1 MiB less room for key and headers. */
  static final int LARGEST_VALUE_BYTES = 1_000_000;

  private final SerializableSupplier<Codec<T>> codec;

  /**
   * @param codec how to find the codec; codecs themselves do not travel
   */
  public EncodeRecords(SerializableSupplier<Codec<T>> codec) {
    this.codec = codec;
  }

  @Override
  public void processElement(T value, Context context, Collector<OutgoingRecord> out) {
    String topic = codec.get().topic().topicName();
    for (Encoded record : codec.get().encode(value)) {
      if (record.value().length <= LARGEST_VALUE_BYTES) {
        out.collect(new OutgoingRecord(topic, record.key(), record.value(), Map.of()));
      } else {
        String detail =
            topic
                + ": expected a record of at most "
                + LARGEST_VALUE_BYTES
                + " bytes, got "
                + record.value().length;
        Map<String, String> headers =
            Map.of("reason", "too-large", "detail", detail, "topic", topic);
        context.output(
            OVERSIZED,
            new OutgoingRecord(
                Topic.DEAD_LETTERS.topicName(), record.key(), record.value(), headers));
      }
    }
  }
}
