package io.gradflow.core.window;

import java.util.List;

/** The names of a manifest's layers, by index. */
public record LayerNames(List<String> names) {}
