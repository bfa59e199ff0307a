/**
 * How shards become the exact norms of a step: combining within a rank group, assembling over the
 * groups of a run.
 */
package io.gradflow.core.norm;
