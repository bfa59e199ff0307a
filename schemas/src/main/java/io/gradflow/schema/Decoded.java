package io.gradflow.schema;

/**
 * What became of a record's bytes: exactly one of the two is not null.
 *
 * @param value what they say
 * @param failure why they say nothing
 */
public record Decoded<T>(T value, Undecodable failure) {}
