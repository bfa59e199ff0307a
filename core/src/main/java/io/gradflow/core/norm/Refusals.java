package io.gradflow.core.norm;

import java.util.List;

/**
 * The layers of a step that have no norm, and why.
 *
 * @param layers indices, ascending
 * @param reasons aligned
 */
public record Refusals(int[] layers, List<Refusal> reasons) {}
