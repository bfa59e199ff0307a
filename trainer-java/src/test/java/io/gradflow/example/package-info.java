/** What a trainer writes to publish its gradients: the example of {@code docs/trainers.md}. */
package io.gradflow.example;
