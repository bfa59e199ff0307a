/**
 * A Flink SQL format, {@code gradflow}, for the values of the topics: read only, columns by the
 * names of the fields.
 */
package io.gradflow.sql;
