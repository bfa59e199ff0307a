package io.gradflow.example;

import io.gradflow.trainer.dl4j.GradflowListener;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** A training with DL4J that publishes its gradients. */
public final class Dl4jExample {
  private Dl4jExample() {}

  public static void train(MultiLayerNetwork network, DataSetIterator examples, int epochs) {
    train(network, examples, epochs, GradflowListener.fromEnvironment());
  }

  public static void train(
      MultiLayerNetwork network, DataSetIterator examples, int epochs, GradflowListener gradflow) {
    network.addListeners(gradflow);
    network.fit(examples, epochs);
    gradflow.finished(); // only at the end of a whole training: without it, it has died
  }
}
