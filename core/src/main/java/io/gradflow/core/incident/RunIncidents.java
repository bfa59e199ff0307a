package io.gradflow.core.incident;

import java.util.List;

/**
 * What is remembered of a run's incidents: the open ones, and those resolved so lately that a new
 * finding would belong to them.
 *
 * @param attempt the highest one seen
 * @param courses how training went, by stream; null in states of release 0.1
 */
public record RunIncidents(
    String runId, long attempt, List<Incident> incidents, List<Course> courses) {}
