/**
 * How core's records cross Flink's edges and live in its state: as POJOs (fields may be added and
 * removed between releases) whose columns are copied in bulk. Kryo is never used.
 */
package io.gradflow.operators.types;
