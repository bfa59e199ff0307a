/**
 * The domain of gradflow, pure: what a shard says, how shards become norms, norms become windows,
 * and norms become findings, incidents and alerts.
 *
 * <p>Everything here is a value or a state machine {@code (state, event) -> state, outputs}: no
 * clock (time is an argument), no I/O, no threads, and no dependency but the JDK. The same machines
 * run inside Flink, in simulations and in replays.
 */
package io.gradflow.core;
