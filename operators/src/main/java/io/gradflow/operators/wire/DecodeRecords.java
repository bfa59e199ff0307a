package io.gradflow.operators.wire;

import io.gradflow.operators.types.RecordTypes;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.WriterSchemas;
import java.net.URI;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.function.SerializableFunction;
import org.apache.flink.util.function.SerializableSupplier;

/**
 * Decodes the records of one topic and passes on what they mean to the job. Never throws on input:
 * what cannot be read goes to {@link #DEAD_LETTERS} byte for byte.
 *
 * <p>Keeps no state. A record without value in a compacted topic is a deletion and says nothing
 * here. Counters: read = {@code records_decoded + records_set_aside + records_deleted +
 * records_undecodable}.
 *
 * @param <V> the topic's value
 * @param <T> what it means to the job
 */
public final class DecodeRecords<V, T> extends ProcessFunction<RawRecord, T> {
  /** What could not be read, addressed to the dead letters. */
  public static final OutputTag<OutgoingRecord> DEAD_LETTERS =
      new OutputTag<>("dead-letters", RecordTypes.of(OutgoingRecord.class));

  private final SerializableSupplier<Codec<V>> codec;
  private final SerializableFunction<V, T> meaning;
  private final String registryUrl;
  private final DeadLetters deadLetters;
  private transient Decoder<V> decoder;
  private transient boolean compacted;
  private transient Counter decoded;
  private transient Counter setAside;
  private transient Counter deleted;
  private transient Counter undecodable;

  /**
   * @param codec how to find the codec; codecs themselves do not travel
   * @param meaning what a value means to the job; null of one that is not for it. Applied here, so
   *     that a payload that only is measured goes no further
   * @param registryUrl where schemas of Confluent-framed records are; null if there is no registry
   * @param deadLetters how this job writes them
   */
  public DecodeRecords(
      SerializableSupplier<Codec<V>> codec,
      SerializableFunction<V, T> meaning,
      String registryUrl,
      DeadLetters deadLetters) {
    this.codec = codec;
    this.meaning = meaning;
    this.registryUrl = registryUrl;
    this.deadLetters = deadLetters;
  }

  @Override
  public void open(OpenContext context) {
    decoder =
        codec
            .get()
            .decoder(
                registryUrl == null
                    ? WriterSchemas.known()
                    : WriterSchemas.withRegistry(URI.create(registryUrl)));
    compacted = codec.get().topic().isCompacted();
    var metrics = getRuntimeContext().getMetricGroup().addGroup("gradflow");
    decoded = metrics.counter("records_decoded");
    setAside = metrics.counter("records_set_aside");
    deleted = metrics.counter("records_deleted");
    undecodable = metrics.counter("records_undecodable");
  }

  @Override
  public void processElement(RawRecord record, Context context, Collector<T> out) {
    if (record.value() == null && compacted) {
      deleted.inc();
      return;
    }
    Decoded<V> result = decoder.decode(record.value(), record.origin());
    if (result.failure() != null) {
      undecodable.inc();
      context.output(DEAD_LETTERS, deadLetters.of(record, result.failure()));
      return;
    }
    T meant = meaning.apply(result.value());
    if (meant == null) {
      setAside.inc();
    } else {
      decoded.inc();
      out.collect(meant);
    }
  }
}
