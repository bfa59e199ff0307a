package io.gradflow.training.zoo;

import io.gradflow.core.shard.RunEvent;
import io.gradflow.training.Seeds;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A workload trained over several ranks, one after the other on the calling thread. In every step
 * each rank draws its own samples, the gradients of the ranks are reduced to their plain mean,
 * clipped, and the weights, which all ranks share, updated. The same workload, options and faults
 * give the same training, bit for bit.
 *
 * <p>Non-finite gradients are applied like any others, unless a loss scaler skips the step: nothing
 * hides a fault.
 *
 * <p>An instance runs once; not thread-safe.
 */
public final class ZooTraining {

  /** Samples of a batch that no rank trains on. */
  private static final int HELD_OUT = 32;

  private final Workload workload;
  private final ZooOptions options;
  private final ZooFaults faults;
  private final List<Parameter> parameters;
  private final int[][] ofStream;
  private final Random[] samples;
  private final Batch heldOut;

  private final float[][] weights;
  private final float[][] initial;
  private final float[][][] local;
  private final float[][] reduced;
  private final float[][] scratch;
  private final Moments moments;
  private final double[][] updateNorms;
  private final long[] lastPublished;
  private Scaler scaler;
  private Checkpoint checkpoint;
  private double batchFactor = 1;
  private double rateFactor = 1;
  private int attempt;
  private long step;
  private boolean started;

  /** A training in which those faults strike, or none. */
  public ZooTraining(Workload workload, ZooOptions options, List<ZooFault> faults) {
    this.workload = workload;
    this.options = options;
    parameters = List.copyOf(workload.parameters());
    this.faults = new ZooFaults(faults, parameters, options);
    int streams = workload.streams().size();
    ofStream = new int[streams][];
    for (int s = 0; s < streams; s++) {
      int stream = s;
      ofStream[s] =
          java.util.stream.IntStream.range(0, parameters.size())
              .filter(p -> parameters.get(p).stream() == stream)
              .toArray();
    }
    samples = new Random[options.ranks()];
    for (int r = 0; r < samples.length; r++) {
      samples[r] = Seeds.random(options.seed(), "zoo-samples", r);
    }
    weights = workload.initial(Seeds.random(options.seed(), "zoo-weights", 0));
    initial = copy(weights);
    heldOut = workload.draw(Seeds.random(options.seed(), "zoo-held-out", 0), HELD_OUT);
    local = new float[options.ranks()][][];
    for (int r = 0; r < local.length; r++) {
      boolean leads = r % options.tensorParallel() == 0;
      local[r] = leads ? zeros() : local[r - r % options.tensorParallel()];
    }
    reduced = zeros();
    scratch = zeros();
    moments = new Moments(zeros(), options.optimiser().adaptive() ? zeros() : null, new long[1]);
    updateNorms = new double[streams][];
    lastPublished = new long[streams];
    Arrays.fill(lastPublished, -1);
    float scale = options.scaling() == null ? 1 : options.scaling().initial();
    scaler = new Scaler(scale, 0);
  }

  /** How it is trained. */
  public ZooOptions options() {
    return options;
  }

  /** Names of the optimisers. */
  public List<String> streams() {
    return workload.streams();
  }

  /** The parameter tensors of all streams, in forward order. */
  public List<Parameter> parameters() {
    return parameters;
  }

  /** The parameter tensors of a stream, in forward order. */
  public List<Parameter> parameters(int stream) {
    return Arrays.stream(ofStream[stream]).mapToObj(parameters::get).toList();
  }

  /** The step that comes next; the number of steps, once the training has ended. */
  public long nextStep() {
    return step;
  }

  /** Trains to the last step. */
  public void run(ZooObserver observer) {
    while (advance(observer)) {
      // One step after the other.
    }
  }

  /**
   * Trains one step of every stream.
   *
   * @return whether there is another step
   */
  public boolean advance(ZooObserver observer) {
    if (step >= options.steps()) {
      throw new IllegalStateException(
          "training of the zoo: expected to be run once, got a step after its last one");
    }
    if (!started) {
      started = true;
      tell(observer, RunEvent.Type.STARTED, Map.of("ranks", Integer.toString(options.ranks())));
    }
    for (Occasion occasion : options.occasions()) {
      if (occasion.step() == step && (occasion.kind() != Occasion.Kind.RESTART || attempt == 0)) {
        happen(occasion, observer);
      }
    }
    if (options.occasions().stream().anyMatch(o -> restartsFrom(o, step))) {
      checkpoint = new Checkpoint(step, copy(weights), moments.copied(), scaler);
    }
    faults.strikeWeights(step, weights);
    for (int s = 0; s < ofStream.length; s++) {
      train(s, observer);
    }
    step++;
    boolean more = step < options.steps();
    if (!more) {
      tell(observer, RunEvent.Type.FINISHED, Map.of());
    }
    return more;
  }

  /** Mean loss of all streams over samples that no rank trains on; may be non-finite. */
  public double heldOutLoss() {
    double sum = 0;
    for (int s = 0; s < ofStream.length; s++) {
      sum += workload.backward(s, weights, heldOut, scratch, Disturbance.NONE);
    }
    return sum / ofStream.length;
  }

  /** Weights as they are now, by parameter and element; not to be written. */
  float[][] weights() {
    return weights;
  }

  /** Weights as they were at first; not to be written. */
  float[][] initialWeights() {
    return initial;
  }

  private boolean restartsFrom(Occasion occasion, long step) {
    return attempt == 0
        && occasion.kind() == Occasion.Kind.RESTART
        && occasion.step() - (long) occasion.amount() == step;
  }

  private void happen(Occasion occasion, ZooObserver observer) {
    switch (occasion.kind()) {
      case BATCH -> {
        batchFactor *= occasion.amount();
        if (occasion.declared()) {
          long batch = 0;
          for (int r = 0; r < options.ranks(); r += options.tensorParallel()) {
            batch += samplesOf(r);
          }
          tell(observer, RunEvent.Type.CHANGED, Map.of("batch", Long.toString(batch)));
        }
      }
      case RATE -> {
        rateFactor *= occasion.amount();
        if (occasion.declared()) {
          String rate = Double.toString(rateFactor * options.schedule().rate(step));
          tell(observer, RunEvent.Type.CHANGED, Map.of("learningRate", rate));
        }
      }
      case EVALUATION ->
          tell(observer, RunEvent.Type.EVAL, Map.of("loss", Double.toString(heldOutLoss())));
      case PAUSE -> {
        tell(observer, RunEvent.Type.PAUSED, Map.of());
        tell(observer, RunEvent.Type.RESUMED, Map.of());
      }
      case CHECKPOINT ->
          tell(observer, RunEvent.Type.CHECKPOINT, Map.of("step", Long.toString(step - 1)));
      case RESTART -> restart(observer);
      case RARE_TOKENS -> {
        // Samples are changed where they are drawn.
      }
    }
  }

  private void restart(ZooObserver observer) {
    attempt++;
    step = checkpoint.step;
    for (int p = 0; p < weights.length; p++) {
      System.arraycopy(checkpoint.weights[p], 0, weights[p], 0, weights[p].length);
    }
    moments.restore(checkpoint.moments);
    scaler = checkpoint.scaler;
    Arrays.fill(updateNorms, null);
    Arrays.fill(lastPublished, step - 1);
    tell(
        observer,
        RunEvent.Type.STARTED,
        Map.of("ranks", Integer.toString(options.ranks()), "checkpoint", Long.toString(step - 1)));
  }

  private void tell(ZooObserver observer, RunEvent.Type type, Map<String, String> attributes) {
    for (int s = 0; s < ofStream.length; s++) {
      observer.event(attempt, s, lastPublished[s], type, attributes);
    }
  }

  private void train(int stream, ZooObserver observer) {
    int ranks = options.ranks();
    int width = options.tensorParallel();
    int[] own = ofStream[stream];
    double[] losses = new double[ranks];
    int[] counts = new int[ranks];
    long[] activations = new long[own.length];
    long[] saturated = new long[own.length];
    float scale = options.scaling() == null ? 1 : (float) faults.lossScale(step, scaler.scale);
    for (int r = 0; r < ranks; r += width) {
      int n = samplesOf(r);
      Batch batch = workload.draw(samples[r], n);
      batch = faults.fed(step, r, rare(batch));
      var disturbance = faults.disturbance(step, r, stream, options.scaling() != null, scale);
      double loss = workload.backward(stream, weights, batch, local[r], disturbance);
      zeroFrozen(local[r]);
      faults.strikeGradient(step, r, own, local[r]);
      Arrays.fill(losses, r, r + width, loss);
      Arrays.fill(counts, r, r + width, n);
      long[] all = workload.activations();
      long[] full = workload.saturated();
      for (int i = 0; i < own.length; i++) {
        activations[i] += all[own[i]];
        saturated[i] += full[own[i]];
      }
    }
    double divisor = faults.sums(step) ? 1 : ranks / width;
    boolean overflow = reduce(own, divisor) && options.scaling() != null;
    boolean skipped = overflow && options.scaling().interval() > 0 && !faults.forbidSkips(step);
    double norm = norm(own, scale);
    double limit = faults.clipNorm(step, options.clipNorm());
    // A limit without need is no factor of 1 + rounding, and a norm that is none clips nothing.
    double coefficient = norm > limit ? limit / norm : 1;
    double[] coefficients = new double[ranks];
    double[] reported = new double[ranks];
    boolean[] reports = new boolean[ranks];
    for (int r = 0; r < ranks; r++) {
      coefficients[r] = faults.clips(step, r % width) ? coefficient : 1;
      reported[r] = norm;
      reports[r] = faults.reports(step, r);
    }
    double rate = options.schedule().rate(step) * rateFactor * faults.rateFactor(step);
    if (step % options.every() == 0) {
      observer.step(
          new ZooStep(
              attempt,
              stream,
              step,
              cut(own),
              cut(own, reduced),
              cut(own, weights),
              updateNorms[stream],
              activations,
              saturated,
              losses,
              counts,
              rate,
              scale,
              skipped,
              limit,
              coefficients,
              reported,
              reports,
              trainable(own)));
      lastPublished[stream] = step;
    }
    double[] norms = new double[own.length];
    if (!skipped) {
      if (stream == 0) {
        moments.steps[0]++;
      }
      for (int i = 0; i < own.length; i++) {
        if (trainable(own[i]) && !faults.frozen(step, own[i])) {
          norms[i] = update(own[i], coefficients, scale, rate);
        }
      }
    }
    updateNorms[stream] = norms;
    if (options.scaling() != null && options.scaling().interval() > 0) {
      scaler = scaler.after(skipped, options.scaling().interval());
    }
  }

  private int samplesOf(int rank) {
    return (int) Math.max(1, Math.round(options.samples()[rank] * batchFactor));
  }

  private Batch rare(Batch batch) {
    boolean now =
        options.occasions().stream()
            .anyMatch(o -> o.kind() == Occasion.Kind.RARE_TOKENS && o.step() == step);
    if (!now || batch.tokens().length == 0) {
      return batch;
    }
    int[] tokens = batch.tokens().clone();
    int rarest = Arrays.stream(tokens).max().orElse(0);
    int length = tokens.length / batch.samples();
    // Most tokens of a quarter of the samples, as of documents full of one word.
    for (int i = 0; i < tokens.length / 4; i++) {
      if (i % length != length - 1) {
        tokens[i] = rarest;
      }
    }
    return new Batch(batch.samples(), batch.inputs(), tokens, batch.targets(), batch.classes());
  }

  private boolean trainable(int parameter) {
    Parameter p = parameters.get(parameter);
    return p.trainable() && (p.depth() >= options.frozenDepth() || step >= options.thaw());
  }

  private boolean[] trainable(int[] own) {
    boolean[] all = new boolean[own.length];
    for (int i = 0; i < own.length; i++) {
      all[i] = trainable(own[i]);
    }
    return all;
  }

  private void zeroFrozen(float[][] gradient) {
    for (int p = 0; p < gradient.length; p++) {
      if (!trainable(p)) {
        Arrays.fill(gradient[p], 0);
      }
    }
  }

  /** Whether any value is not finite. */
  private boolean reduce(int[] own, double divisor) {
    float factor = (float) (1 / divisor);
    boolean overflow = false;
    for (int p : own) {
      float[] sum = reduced[p];
      System.arraycopy(local[0][p], 0, sum, 0, sum.length);
      for (int r = options.tensorParallel(); r < local.length; r += options.tensorParallel()) {
        float[] more = local[r][p];
        for (int e = 0; e < sum.length; e++) {
          sum[e] += more[e];
        }
      }
      float poison = 0;
      for (int e = 0; e < sum.length; e++) {
        sum[e] *= factor;
        poison += sum[e] * 0;
      }
      overflow |= poison != 0; // NaN, too: a non-finite value times 0
    }
    return overflow;
  }

  private double norm(int[] own, float scale) {
    double squares = 0;
    for (int p : own) {
      for (float g : reduced[p]) {
        squares += (double) g * g;
      }
    }
    return Math.sqrt(squares) / scale;
  }

  /** Updates a parameter, and returns the norm of the change. */
  private double update(int parameter, double[] coefficients, float scale, double rate) {
    float[] w = weights[parameter];
    int slices = options.tensorParallel();
    double squares = 0;
    for (int slice = 0; slice < slices; slice++) {
      int from = sliceStart(w.length, slice, slices);
      int to = sliceStart(w.length, slice + 1, slices);
      squares += update(parameter, from, to, coefficients[slice] / scale, rate);
    }
    return Math.sqrt(squares);
  }

  /** The first element of a slice of a parameter of that length, or where the one before ends. */
  public static int sliceStart(int elements, int slice, int slices) {
    return (int) ((long) elements * slice / slices);
  }

  private double update(int parameter, int from, int to, double factor, double rate) {
    float[] w = weights[parameter];
    float[] g = reduced[parameter];
    float[] first = moments.first[parameter];
    Optimiser optimiser = options.optimiser();
    float f = (float) factor;
    float momentum = (float) optimiser.momentum();
    float shrink = (float) (rate * optimiser.decay());
    double squares = 0;
    if (optimiser.adaptive()) {
      float[] second = moments.second[parameter];
      double beta2 = faults.beta2(step, optimiser.beta2());
      float b2 = (float) beta2;
      double t = moments.steps[0];
      float r = (float) (rate / (1 - Math.pow(optimiser.momentum(), t)));
      float root = (float) (1 / Math.sqrt(1 - Math.pow(beta2, t)));
      float epsilon = (float) optimiser.epsilon();
      for (int e = from; e < to; e++) {
        float x = g[e] * f;
        first[e] = momentum * first[e] + (1 - momentum) * x;
        second[e] = b2 * second[e] + (1 - b2) * x * x;
        float change =
            r * first[e] / ((float) Math.sqrt(second[e]) * root + epsilon) + shrink * w[e];
        w[e] -= change;
        squares += (double) change * change;
      }
    } else {
      float r = (float) rate;
      for (int e = from; e < to; e++) {
        first[e] = momentum * first[e] + g[e] * f;
        float change = r * first[e] + shrink * w[e];
        w[e] -= change;
        squares += (double) change * change;
      }
    }
    return squares;
  }

  private float[][][] cut(int[] own) {
    float[][][] all = new float[local.length][][];
    for (int r = 0; r < all.length; r++) {
      all[r] = cut(own, local[r]);
    }
    return all;
  }

  private float[][] cut(int[] own, float[][] of) {
    if (own.length == of.length) {
      return of;
    }
    List<float[]> cut = new ArrayList<>(own.length);
    for (int p : own) {
      cut.add(of[p]);
    }
    return cut.toArray(float[][]::new);
  }

  private float[][] zeros() {
    return parameters.stream().map(p -> new float[p.elements()]).toArray(float[][]::new);
  }

  private static float[][] copy(float[][] of) {
    return Arrays.stream(of).map(float[]::clone).toArray(float[][]::new);
  }

  /**
   * What an optimiser remembers.
   *
   * @param second null of one that is not adaptive
   * @param steps one element: updates so far
   */
  private record Moments(float[][] first, float[][] second, long[] steps) {

    Moments copied() {
      return new Moments(copy(first), second == null ? null : copy(second), steps.clone());
    }

    void restore(Moments from) {
      for (int p = 0; p < first.length; p++) {
        System.arraycopy(from.first[p], 0, first[p], 0, first[p].length);
        if (second != null) {
          System.arraycopy(from.second[p], 0, second[p], 0, second[p].length);
        }
      }
      steps[0] = from.steps[0];
    }
  }

  private record Checkpoint(long step, float[][] weights, Moments moments, Scaler scaler) {}

  /**
   * The factor of the loss.
   *
   * @param good steps since it changed
   */
  private record Scaler(float scale, int good) {

    Scaler after(boolean skipped, int interval) {
      if (skipped) {
        return new Scaler(Math.max(scale / 2, 1), 0);
      }
      return good + 1 >= interval ? new Scaler(scale * 2, 0) : new Scaler(scale, good + 1);
    }
  }
}
