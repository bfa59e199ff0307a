/** How long the parts take, each beside what it is compared with: {@code ./gradflow bench}. */
package io.gradflow.benchmarks;
