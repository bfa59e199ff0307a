package io.gradflow.jobs;

import io.gradflow.core.Rejection;
import io.gradflow.operators.detect.Contact;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.operators.wire.DeadLetters;
import io.gradflow.operators.wire.DecodeRecords;
import io.gradflow.operators.wire.EncodeRecords;
import io.gradflow.operators.wire.OutgoingRecord;
import io.gradflow.operators.wire.RawRecord;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Topic;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.function.SerializableFunction;
import org.apache.flink.util.function.SerializableSupplier;

/**
 * The edges of one job: topics in, decoded; values out, encoded; and one sink for all that was
 * refused on the way.
 *
 * <p>Operators are named after their topic, and their uids follow from it, so that savepoints find
 * them again.
 */
final class Edges {
  private final StreamExecutionEnvironment environment;
  private final KafkaEdges kafka;
  private final String registryUrl;
  private final DeadLetters deadLetters;
  private final List<DataStream<OutgoingRecord>> refused = new ArrayList<>();

  /**
   * @param group the end of the job's consumer group
   * @param job its name in dead letters
   */
  Edges(StreamExecutionEnvironment environment, JobSettings settings, String group, String job) {
    this.environment = environment;
    this.kafka = new KafkaEdges(settings, group);
    this.registryUrl =
        settings.has(GradflowOptions.REGISTRY_URL)
            ? settings.get(GradflowOptions.REGISTRY_URL)
            : null;
    String version = Edges.class.getPackage().getImplementationVersion();
    this.deadLetters = new DeadLetters(job, version == null ? "unpackaged" : version);
  }

  /** The values of a hot topic, from where the settings say. */
  <T> DataStream<T> read(Topic topic, SerializableSupplier<Codec<T>> codec, Class<T> type) {
    return read(topic, codec, value -> value, type);
  }

  /**
   * What the values of a hot topic mean, from where the settings say.
   *
   * @param meaning of a value; null of one that is not for this job
   */
  <V, T> DataStream<T> read(
      Topic topic,
      SerializableSupplier<Codec<V>> codec,
      SerializableFunction<V, T> meaning,
      Class<T> type) {
    return decoded(kafka.source(topic), topic, codec, meaning, type);
  }

  /** The values of a compacted topic, from its beginning. */
  <T> DataStream<T> declarations(Topic topic, SerializableSupplier<Codec<T>> codec, Class<T> type) {
    return decoded(kafka.declarations(topic), topic, codec, value -> value, type);
  }

  private <V, T> DataStream<T> decoded(
      KafkaSource<RawRecord> source,
      Topic topic,
      SerializableSupplier<Codec<V>> codec,
      SerializableFunction<V, T> meaning,
      Class<T> type) {
    SingleOutputStreamOperator<T> decoded =
        environment
            .fromSource(source, WatermarkStrategy.noWatermarks(), topic.topicName())
            .uid("read-" + topic.topicName())
            .process(
                new DecodeRecords<>(codec, meaning, registryUrl, deadLetters), RecordTypes.of(type))
            .uid("decode-" + topic.topicName())
            .name("decode " + topic.topicName());
    refused.add(decoded.getSideOutput(DecodeRecords.DEAD_LETTERS));
    return decoded;
  }

  /**
   * Whether the topics can be reached.
   *
   * @param who asks: the operator's uid
   */
  Contact contact(String who) {
    return kafka.contact(who);
  }

  /** Writes values to their topic; repeated after a failure. */
  <T> void write(DataStream<T> values, Topic topic, SerializableSupplier<Codec<T>> codec) {
    sink(encoded(values, topic, codec), topic, kafka.sink());
  }

  /** Writes alerts, as often as the settings say. */
  <T> void writeAlerts(DataStream<T> values, Topic topic, SerializableSupplier<Codec<T>> codec) {
    sink(encoded(values, topic, codec), topic, kafka.alertSink());
  }

  private <T> DataStream<OutgoingRecord> encoded(
      DataStream<T> values, Topic topic, SerializableSupplier<Codec<T>> codec) {
    SingleOutputStreamOperator<OutgoingRecord> encoded =
        values
            .process(new EncodeRecords<>(codec, deadLetters), RecordTypes.of(OutgoingRecord.class))
            .uid("encode-" + topic.topicName())
            .name("encode " + topic.topicName());
    refused.add(encoded.getSideOutput(EncodeRecords.OVERSIZED));
    return encoded;
  }

  private static void sink(
      DataStream<OutgoingRecord> records, Topic topic, KafkaSink<OutgoingRecord> sink) {
    records.sinkTo(sink).uid("write-" + topic.topicName()).name(topic.topicName());
  }

  /**
   * Remembers what was understood and could not be used.
   *
   * @param who names the operator, and its uid, that makes dead letters of these
   */
  void reject(DataStream<Rejection> rejections, String who) {
    DeadLetters letters = deadLetters;
    refused.add(
        rejections
            .map(letters::of, RecordTypes.of(OutgoingRecord.class))
            .uid("reject-" + who)
            .name(who.replace('-', ' ')));
  }

  /** Writes everything that was refused, by whomever; last, when all edges are known. */
  void writeDeadLetters() {
    DataStream<OutgoingRecord> all = refused.get(0);
    for (DataStream<OutgoingRecord> more : refused.subList(1, refused.size())) {
      all = all.union(more);
    }
    sink(all, Topic.DEAD_LETTERS, kafka.deadLetterSink());
  }
}
