/**
 * What trainers publish: manifests, run events, and the statistics of one rank's shard of one step.
 */
package io.gradflow.core.shard;
