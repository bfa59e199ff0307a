package io.gradflow.core.shard;

/** Names one part of a manifest within its run. */
public record ManifestPart(long manifestId, int part) {}
