package io.gradflow.operators.wire;

import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Encoded;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.function.SerializableSupplier;

/**
 * Turns values into records of their topic, several when one would be too large. Keeps no state.
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
  private final DeadLetters deadLetters;
  private transient Counter encoded;
  private transient Counter oversized;

  /**
   * @param codec how to find the codec; codecs themselves do not travel
   * @param deadLetters how this job writes them
   */
  public EncodeRecords(SerializableSupplier<Codec<T>> codec, DeadLetters deadLetters) {
    this.codec = codec;
    this.deadLetters = deadLetters;
  }

  @Override
  public void open(OpenContext context) {
    var metrics = getRuntimeContext().getMetricGroup().addGroup("gradflow");
    encoded = metrics.counter("records_encoded");
    oversized = metrics.counter("records_oversized");
  }

  @Override
  public void processElement(T value, Context context, Collector<OutgoingRecord> out) {
    String topic = codec.get().topic().topicName();
    for (Encoded bytes : codec.get().encode(value)) {
      var record = new OutgoingRecord(topic, bytes.key(), bytes.value(), Map.of());
      if (bytes.value().length <= LARGEST_VALUE_BYTES) {
        encoded.inc();
        out.collect(record);
      } else {
        oversized.inc();
        context.output(OVERSIZED, deadLetters.ofTooLarge(record, LARGEST_VALUE_BYTES));
      }
    }
  }
}
