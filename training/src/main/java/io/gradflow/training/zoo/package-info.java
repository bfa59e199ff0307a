/**
 * Real small trainings of many kinds, healthy and faulty: where the detectors are measured.
 *
 * <p>A {@link io.gradflow.training.zoo.Workload} is a network with its task: what one rank computes
 * in one step. A {@code ZooTraining} runs it over several ranks, with optimiser, schedule, clipping
 * and loss scaling, and lets a fault strike it. A {@code io.gradflow.training.zoo.Family} draws
 * such trainings from seeds and says what is wrong in them.
 */
package io.gradflow.training.zoo;
