/**
 * The two jobs: their mains, their options, and their edges to Kafka. A main reads like the stage
 * table of the architecture page; what the stages decide is in {@code core}, how they run in Flink
 * in {@code operators}.
 */
package io.gradflow.jobs;
