package io.gradflow.core.detect;

import java.util.List;

/**
 * What detectors remember of a run: only of its highest attempt.
 *
 * @param attempt the highest one seen
 * @param lanes its streams and manifests
 */
public record RunTrends(long attempt, List<LaneTrends> lanes) {}
