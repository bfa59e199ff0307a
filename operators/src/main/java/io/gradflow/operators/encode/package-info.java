/** The way out: core's records become bytes for Kafka, small enough for its limits. */
package io.gradflow.operators.encode;
