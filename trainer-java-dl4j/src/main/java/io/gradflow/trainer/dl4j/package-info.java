/** Publishes the gradients of trainings with DL4J: one listener, one line in the training. */
package io.gradflow.trainer.dl4j;
