/** How well faults are found: gradflow and what it is compared with, on trainings of the zoo. */
package io.gradflow.benchmarks.quality;
