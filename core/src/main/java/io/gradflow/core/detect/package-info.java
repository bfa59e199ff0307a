/** What is sick about a step: a detector's verdicts, from the norms of a run's steps. */
package io.gradflow.core.detect;
