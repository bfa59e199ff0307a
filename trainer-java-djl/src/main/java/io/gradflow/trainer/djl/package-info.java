/** Publishes the gradients of trainings with DJL: one listener, one line in the training. */
package io.gradflow.trainer.djl;
