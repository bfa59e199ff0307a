package io.gradflow.operators.wire;

import io.gradflow.core.Origin;

/**
 * A record as it was read, before anything is known of it.
 *
 * @param key may be null
 * @param value null deletes the key's record in a compacted topic
 */
public record RawRecord(Origin origin, byte[] key, byte[] value) {}
