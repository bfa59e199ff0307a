package io.gradflow.example;

import ai.djl.Model;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.EasyTrain;
import ai.djl.training.Trainer;
import ai.djl.training.dataset.Dataset;
import ai.djl.training.loss.Loss;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;
import ai.djl.translate.TranslateException;
import io.gradflow.trainer.djl.GradflowListener;
import java.io.IOException;

/** A training with DJL that publishes its gradients. */
public final class DjlExample {
  private DjlExample() {}

  public static void train(Model model, Shape input, Dataset examples, int epochs)
      throws IOException, TranslateException {
    train(model, input, examples, epochs, GradflowListener.fromEnvironment());
  }

  public static void train(
      Model model, Shape input, Dataset examples, int epochs, GradflowListener gradflow)
      throws IOException, TranslateException {
    Tracker rates = Tracker.fixed(0.1f);
    var config =
        new DefaultTrainingConfig(Loss.l2Loss())
            .optOptimizer(Optimizer.sgd().setLearningRateTracker(rates).build())
            .addTrainingListeners(gradflow.optimizer("sgd", rates));
    try (Trainer trainer = model.newTrainer(config)) {
      trainer.initialize(input);
      EasyTrain.fit(trainer, epochs, examples, null);
    }
    gradflow.finished(); // only at the end of a whole training: without it, it has died
  }
}
