/** A Flink SQL format for the values of the topics. */
package io.gradflow.sql;
