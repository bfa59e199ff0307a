package io.gradflow.training.zoo;

/**
 * Samples of a task.
 *
 * @param samples how many
 * @param inputs real inputs, one row a sample; empty where inputs are tokens
 * @param tokens token inputs, one row a sample; empty where inputs are real
 * @param targets real targets, one row a sample; empty where targets are classes
 * @param classes class targets, one or more a sample; empty where targets are real
 */
public record Batch(int samples, float[] inputs, int[] tokens, float[] targets, int[] classes) {}
