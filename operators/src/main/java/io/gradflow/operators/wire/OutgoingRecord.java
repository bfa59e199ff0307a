package io.gradflow.operators.wire;

import java.util.Map;

/**
 * A record ready to be written.
 *
 * @param key may be null
 * @param value null only in a dead letter of what had no bytes
 * @param headers texts by name
 */
public record OutgoingRecord(String topic, byte[] key, byte[] value, Map<String, String> headers) {}
