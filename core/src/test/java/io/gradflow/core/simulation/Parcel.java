package io.gradflow.core.simulation;

import io.gradflow.core.norm.StepDelta;
import java.util.List;

/**
 * A delta on its way to its run, and the shards that must be in it.
 *
 * @param conflicts records left out because they contradicted one of these
 */
record Parcel(StepDelta delta, List<Sent> contents, int conflicts) {}
