/**
 * The stages of the AlertJob: steps become findings ({@link
 * io.gradflow.operators.detect.DetectFindings}), findings become alerts ({@link
 * io.gradflow.operators.detect.TrackIncidents}). Both are keyed by run.
 */
package io.gradflow.operators.detect;
