/**
 * The edge to Kafka: bytes become core's records or dead letters on the way in, and bytes again on
 * the way out.
 */
package io.gradflow.operators.wire;
