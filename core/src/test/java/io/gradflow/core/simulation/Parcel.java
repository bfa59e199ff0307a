package io.gradflow.core.simulation;

import io.gradflow.core.norm.StepDelta;
import java.util.List;
import java.util.Set;

/**
 * A delta on its way to its run, and the shards that must be in it.
 *
 * @param conflicting ranks that contradicted themselves
 */
record Parcel(StepDelta delta, List<Sent> contents, Set<Integer> conflicting) {}
