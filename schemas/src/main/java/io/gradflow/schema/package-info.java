/**
 * What crosses Kafka: topics, Avro schemas, framing, and one {@link io.gradflow.schema.Codec} per
 * topic between core's records and bytes.
 *
 * <p>Worked example:
 *
 * <pre>{@code
 * for (Encoded record : Codecs.SHARDS.encode(shard)) {
 *   producer.send(new ProducerRecord<>(Topic.SHARDS.topicName(), record.key(), record.value()));
 * }
 *
 * Decoder<Shard> decoder = Codecs.SHARDS.decoder(WriterSchemas.known());
 * Decoded<Shard> decoded = decoder.decode(bytes, origin); // never throws
 * if (decoded.failure() != null) { ... decoded.failure().reason().word() ... }
 * }</pre>
 *
 * <p>Values are read with the schema they were written with and resolved to this build's by field
 * name, column by column: an array of numbers goes to a primitive array in one piece. There are no
 * generated classes and no reflection.
 */
package io.gradflow.schema;
