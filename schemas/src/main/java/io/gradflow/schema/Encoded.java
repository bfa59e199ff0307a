package io.gradflow.schema;

/** A record as Kafka takes it. */
public record Encoded(byte[] key, byte[] value) {}
