package io.gradflow.training.zoo;

import io.gradflow.training.Products;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Reverse-mode automatic differentiation over row-major float matrices: operations are noted as
 * they are computed and undone in reverse.
 *
 * <p>A network that repeats its operations step by step reuses the buffers of the step before. Not
 * thread-safe. The same operations give the same results, bit for bit.
 */
final class Tape {
  private static final float NORM_EPSILON = 1e-5f;
  private static final float SATURATED = 0.99f;

  private final List<Node> nodes = new ArrayList<>();
  private int size;
  private long[] activations = new long[0];
  private long[] saturated = new long[0];

  private enum Kind {
    CONSTANT,
    PARAMETER,
    APPLIED,
    SUM,
    ROW_SUM,
    ROWS_TIMES,
    SCALED,
    RELU,
    TANH,
    SIGMOID,
    SILU,
    SOFTMAX,
    NORMALISED,
    GATHERED,
    SCATTERED,
    PICKED,
    UNFOLDED,
    POOLED,
    ATTENDED,
    SQUARES,
    CROSS_ENTROPY,
    LOGISTIC
  }

  /** A matrix and how it came about. */
  static final class Node {
    private Kind kind;
    private Node a;
    private Node b;
    private Node c;
    private int[] indices;
    private float[] targets;
    private float[] scratch = new float[0];
    private float number;
    private int length;
    private int parameter;

    /** Whether a gradient is wanted of it: some parameter leads to it. */
    private boolean wanted;

    private int rows;
    private int columns;
    private float[] value = new float[0];
    private float[] gradient = new float[0];

    /** The transpose of the value, once it was asked for. */
    private float[] transposed = new float[0];

    private boolean transposedIsCurrent;

    int rows() {
      return rows;
    }

    int columns() {
      return columns;
    }

    /** Row-major. */
    float[] value() {
      return value;
    }
  }

  /** Forgets all operations. */
  void begin(int parameters) {
    size = 0;
    if (activations.length != parameters) {
      activations = new long[parameters];
      saturated = new long[parameters];
    }
    Arrays.fill(activations, 0);
    Arrays.fill(saturated, 0);
  }

  /** By parameter, as {@link Workload#activations}. */
  long[] activations() {
    return activations;
  }

  /** By parameter, as {@link Workload#saturated}. */
  long[] saturated() {
    return saturated;
  }

  /** Values that no gradient is wanted of. */
  Node constant(float[] values, int rows, int columns) {
    Node node = node(Kind.CONSTANT, null, null, rows, columns, false);
    node.value = values;
    return node;
  }

  /** A parameter and where its gradient is added up. */
  Node parameter(int index, float[] values, float[] gradient, int rows, int columns) {
    Node node = node(Kind.PARAMETER, null, null, rows, columns, false);
    node.value = values;
    node.gradient = gradient;
    node.parameter = index;
    return node;
  }

  /**
   * {@code a transpose(b)}: b has a row for each column of the result, as weights of a layer do.
   */
  Node applied(Node a, Node b) {
    Node node = node(Kind.APPLIED, a, b, a.rows, b.rows, true);
    Products.add(node.value, a.value, transposed(b), a.rows, a.columns, b.rows);
    return node;
  }

  /** Element by element. */
  Node sum(Node a, Node b) {
    Node node = node(Kind.SUM, a, b, a.rows, a.columns, false);
    for (int i = 0; i < a.rows * a.columns; i++) {
      node.value[i] = a.value[i] + b.value[i];
    }
    return node;
  }

  /** Every row of a, plus the one row of b. */
  Node rowSum(Node a, Node b) {
    Node node = node(Kind.ROW_SUM, a, b, a.rows, a.columns, false);
    for (int r = 0; r < a.rows; r++) {
      for (int c = 0; c < a.columns; c++) {
        node.value[r * a.columns + c] = a.value[r * a.columns + c] + b.value[c];
      }
    }
    return node;
  }

  /** Each row of a times the number that b has in that row. */
  Node rowsTimes(Node a, Node b) {
    Node node = node(Kind.ROWS_TIMES, a, b, a.rows, a.columns, false);
    for (int r = 0; r < a.rows; r++) {
      for (int c = 0; c < a.columns; c++) {
        node.value[r * a.columns + c] = a.value[r * a.columns + c] * b.value[r];
      }
    }
    return node;
  }

  Node scaled(Node a, float factor) {
    Node node = node(Kind.SCALED, a, null, a.rows, a.columns, false);
    node.number = factor;
    for (int i = 0; i < a.rows * a.columns; i++) {
      node.value[i] = factor * a.value[i];
    }
    return node;
  }

  /**
   * The larger of each element and 0.
   *
   * @param owner the parameter to whose activations they count
   */
  Node relu(Node a, int owner) {
    Node node = node(Kind.RELU, a, null, a.rows, a.columns, false);
    int zero = 0;
    for (int i = 0; i < a.rows * a.columns; i++) {
      node.value[i] = a.value[i] < 0 ? 0 : a.value[i];
      zero += a.value[i] <= 0 ? 1 : 0;
    }
    count(owner, a.rows * a.columns, zero);
    return node;
  }

  /** See {@link #relu}. */
  Node tanh(Node a, int owner) {
    Node node = node(Kind.TANH, a, null, a.rows, a.columns, false);
    int flat = 0;
    for (int i = 0; i < a.rows * a.columns; i++) {
      node.value[i] = (float) Math.tanh(a.value[i]);
      flat += Math.abs(node.value[i]) > SATURATED ? 1 : 0;
    }
    count(owner, a.rows * a.columns, flat);
    return node;
  }

  /** See {@link #relu}. */
  Node sigmoid(Node a, int owner) {
    Node node = node(Kind.SIGMOID, a, null, a.rows, a.columns, false);
    int flat = 0;
    for (int i = 0; i < a.rows * a.columns; i++) {
      node.value[i] = logistic(a.value[i]);
      flat += node.value[i] > SATURATED || node.value[i] < 1 - SATURATED ? 1 : 0;
    }
    count(owner, a.rows * a.columns, flat);
    return node;
  }

  /** x sigmoid(x). */
  Node silu(Node a) {
    Node node = node(Kind.SILU, a, null, a.rows, a.columns, false);
    node.scratch = atLeast(node.scratch, a.rows * a.columns);
    for (int i = 0; i < a.rows * a.columns; i++) {
      node.scratch[i] = logistic(a.value[i]);
      node.value[i] = a.value[i] * node.scratch[i];
    }
    return node;
  }

  /** Of each row. */
  Node softmax(Node a) {
    Node node = node(Kind.SOFTMAX, a, null, a.rows, a.columns, false);
    for (int r = 0; r < a.rows; r++) {
      softmax(a.value, node.value, r * a.columns, a.columns);
    }
    return node;
  }

  /** Each row to mean 0 and variance 1, times gain, plus bias (Ba, Kiros and Hinton 2016). */
  Node normalised(Node a, Node gain, Node bias) {
    Node node = node(Kind.NORMALISED, a, gain, a.rows, a.columns, false);
    node.c = bias;
    node.wanted |= bias.wanted;
    int n = a.columns;
    // Behind the normalised values, one reciprocal deviation a row.
    node.scratch = atLeast(node.scratch, a.rows * n + a.rows);
    for (int r = 0; r < a.rows; r++) {
      float mean = 0;
      for (int c = 0; c < n; c++) {
        mean += a.value[r * n + c];
      }
      mean /= n;
      float variance = 0;
      for (int c = 0; c < n; c++) {
        float off = a.value[r * n + c] - mean;
        variance += off * off;
      }
      float reciprocal = (float) (1 / Math.sqrt(variance / n + NORM_EPSILON));
      node.scratch[a.rows * n + r] = reciprocal;
      for (int c = 0; c < n; c++) {
        float unit = (a.value[r * n + c] - mean) * reciprocal;
        node.scratch[r * n + c] = unit;
        node.value[r * n + c] = unit * gain.value[c] + bias.value[c];
      }
    }
    return node;
  }

  /** The rows of a with these indices, which may repeat. */
  Node gathered(Node a, int... rows) {
    Node node = node(Kind.GATHERED, a, null, rows.length, a.columns, false);
    node.indices = rows;
    for (int r = 0; r < rows.length; r++) {
      System.arraycopy(a.value, rows[r] * a.columns, node.value, r * a.columns, a.columns);
    }
    return node;
  }

  /** So many rows of zeros, to which row i of a is added at index i. */
  Node scattered(Node a, int total, int... rows) {
    Node node = node(Kind.SCATTERED, a, null, total, a.columns, true);
    node.indices = rows;
    for (int r = 0; r < rows.length; r++) {
      for (int c = 0; c < a.columns; c++) {
        node.value[rows[r] * a.columns + c] += a.value[r * a.columns + c];
      }
    }
    return node;
  }

  /** One number of each row: that in the column with the row's index. */
  Node picked(Node a, int... columns) {
    Node node = node(Kind.PICKED, a, null, a.rows, 1, false);
    node.indices = columns;
    for (int r = 0; r < a.rows; r++) {
      node.value[r] = a.value[r * a.columns + columns[r]];
    }
    return node;
  }

  /**
   * Patches for a convolution: rows of a are positions, groups of {@code index.length / patch} rows
   * of the result one sample's.
   *
   * @param positions of one sample in a
   * @param patch positions in a patch
   * @param indices for each position of the result its patch's positions in the sample, -1: zeros
   */
  Node unfolded(Node a, int positions, int patch, int... indices) {
    int perSample = indices.length / patch;
    int samples = a.rows / positions;
    Node node = node(Kind.UNFOLDED, a, null, samples * perSample, patch * a.columns, true);
    node.indices = indices;
    node.length = positions;
    node.number = patch;
    for (int s = 0; s < samples; s++) {
      for (int i = 0; i < indices.length; i++) {
        if (indices[i] >= 0) {
          System.arraycopy(
              a.value,
              (s * positions + indices[i]) * a.columns,
              node.value,
              (s * indices.length + i) * a.columns,
              a.columns);
        }
      }
    }
    return node;
  }

  /** The mean of each group of so many rows. */
  Node pooled(Node a, int group) {
    Node node = node(Kind.POOLED, a, null, a.rows / group, a.columns, true);
    node.length = group;
    for (int r = 0; r < a.rows; r++) {
      for (int c = 0; c < a.columns; c++) {
        node.value[r / group * a.columns + c] += a.value[r * a.columns + c] / group;
      }
    }
    return node;
  }

  /** Causal attention of one head within each sequence of so many rows (Vaswani et al. 2017). */
  Node attended(Node queries, Node keys, Node values, int sequence) {
    int n = queries.columns;
    Node node = node(Kind.ATTENDED, queries, keys, queries.rows, n, true);
    node.c = values;
    node.wanted |= values.wanted;
    node.length = sequence;
    node.scratch = atLeast(node.scratch, (queries.rows + 1) * sequence);
    float scale = (float) (1 / Math.sqrt(n));
    for (int r = 0; r < queries.rows; r++) {
      int first = r / sequence * sequence;
      int seen = r - first + 1;
      for (int j = 0; j < seen; j++) {
        float dot = 0;
        for (int c = 0; c < n; c++) {
          dot += queries.value[r * n + c] * keys.value[(first + j) * n + c];
        }
        node.scratch[r * sequence + j] = dot * scale;
      }
      softmax(node.scratch, node.scratch, r * sequence, seen);
      for (int j = 0; j < seen; j++) {
        float weight = node.scratch[r * sequence + j];
        for (int c = 0; c < n; c++) {
          node.value[r * n + c] += weight * values.value[(first + j) * n + c];
        }
      }
    }
    return node;
  }

  /** The mean over rows and columns of half the squared distance from the targets: one number. */
  Node squares(Node a, float[] targets) {
    Node node = node(Kind.SQUARES, a, null, 1, 1, false);
    node.targets = targets;
    double sum = 0;
    int count = a.rows * a.columns;
    for (int i = 0; i < count; i++) {
      double off = a.value[i] - targets[i];
      sum += off * off;
    }
    node.value[0] = (float) (sum / (2.0 * count));
    return node;
  }

  /** The mean over rows of the cross entropy of softmax(a) with a class: one number. */
  Node crossEntropy(Node a, int... classes) {
    Node node = node(Kind.CROSS_ENTROPY, a, null, 1, 1, false);
    node.indices = classes;
    node.scratch = atLeast(node.scratch, a.rows * a.columns);
    double sum = 0;
    for (int r = 0; r < a.rows; r++) {
      softmax(a.value, node.scratch, r * a.columns, a.columns);
      sum -= Math.log(Math.max(node.scratch[r * a.columns + classes[r]], 1e-30f));
      sum += Float.isNaN(node.scratch[r * a.columns + classes[r]]) ? Double.NaN : 0;
    }
    node.value[0] = (float) (sum / a.rows);
    return node;
  }

  /** The mean over elements of the cross entropy of sigmoid(a) with one target of 0 to 1. */
  Node logisticLoss(Node a, float target) {
    Node node = node(Kind.LOGISTIC, a, null, 1, 1, false);
    node.number = target;
    double sum = 0;
    for (int i = 0; i < a.rows * a.columns; i++) {
      double x = a.value[i];
      sum += Math.max(x, 0) - x * target + Math.log1p(Math.exp(-Math.abs(x)));
    }
    node.value[0] = (float) (sum / (a.rows * a.columns));
    return node;
  }

  /**
   * Adds the gradient of a loss to the parameters'.
   *
   * @param loss one number
   * @return the loss
   */
  double backward(Node loss, Disturbance disturbance) {
    for (int i = 0; i < size; i++) {
      Node node = nodes.get(i);
      if (node.wanted && node.kind != Kind.PARAMETER) {
        Arrays.fill(node.gradient, 0, node.rows * node.columns, 0);
      }
    }
    loss.gradient[0] = disturbance.lossScale();
    boolean poisoned = disturbance.nanAt() < 0;
    for (int i = size - 1; i >= 0; i--) {
      Node node = nodes.get(i);
      if (!node.wanted) {
        continue;
      }
      if (disturbance.half()) {
        round(node.gradient, node.rows * node.columns);
      }
      if (!poisoned && uses(node, disturbance.nanAt())) {
        node.gradient[0] = Float.NaN;
        poisoned = true;
      }
      undo(node);
    }
    return loss.value[0];
  }

  private static boolean uses(Node node, int parameter) {
    return is(node.a, parameter) || is(node.b, parameter) || is(node.c, parameter);
  }

  private static boolean is(Node node, int parameter) {
    return node != null && node.kind == Kind.PARAMETER && node.parameter == parameter;
  }

  private static void undo(Node node) {
    Node a = node.a;
    Node b = node.b;
    float[] up = node.gradient;
    int count = node.rows * node.columns;
    switch (node.kind) {
      case CONSTANT, PARAMETER -> {}
      case APPLIED -> {
        if (a.wanted) {
          Products.add(a.gradient, up, b.value, a.rows, b.rows, a.columns);
        }
        if (b.wanted) {
          Products.addTransposed(b.gradient, up, a.value, b.rows, a.rows, b.columns);
        }
      }
      case SUM -> {
        addTo(a, up, 1, count);
        addTo(b, up, 1, count);
      }
      case ROW_SUM -> {
        addTo(a, up, 1, count);
        if (b.wanted) {
          Products.addColumnSums(b.gradient, up, node.rows);
        }
      }
      case ROWS_TIMES -> {
        for (int i = 0; i < count; i++) {
          int row = i / node.columns;
          if (a.wanted) {
            a.gradient[i] += up[i] * b.value[row];
          }
          if (b.wanted) {
            b.gradient[row] += up[i] * a.value[i];
          }
        }
      }
      case SCALED -> addTo(a, up, node.number, count);
      case RELU -> {
        for (int i = 0; i < count; i++) {
          // A NaN passes: only what is surely 0 stops a gradient.
          a.gradient[i] += a.value[i] <= 0 ? 0 : up[i];
        }
      }
      case TANH -> {
        for (int i = 0; i < count; i++) {
          a.gradient[i] += up[i] * (1 - node.value[i] * node.value[i]);
        }
      }
      case SIGMOID -> {
        for (int i = 0; i < count; i++) {
          a.gradient[i] += up[i] * node.value[i] * (1 - node.value[i]);
        }
      }
      case SILU -> {
        for (int i = 0; i < count; i++) {
          float s = node.scratch[i];
          a.gradient[i] += up[i] * s * (1 + a.value[i] * (1 - s));
        }
      }
      case SOFTMAX -> {
        for (int r = 0; r < node.rows; r++) {
          undoSoftmax(node.value, up, a.gradient, r * node.columns, node.columns);
        }
      }
      case NORMALISED -> undoNormalised(node);
      case GATHERED -> {
        for (int r = 0; a.wanted && r < node.rows; r++) {
          for (int c = 0; c < node.columns; c++) {
            a.gradient[node.indices[r] * node.columns + c] += up[r * node.columns + c];
          }
        }
      }
      case SCATTERED -> {
        for (int r = 0; r < node.indices.length; r++) {
          for (int c = 0; c < node.columns; c++) {
            a.gradient[r * node.columns + c] += up[node.indices[r] * node.columns + c];
          }
        }
      }
      case PICKED -> {
        for (int r = 0; r < node.rows; r++) {
          a.gradient[r * a.columns + node.indices[r]] += up[r];
        }
      }
      case UNFOLDED -> {
        int[] indices = node.indices;
        int samples = a.rows / node.length;
        for (int s = 0; a.wanted && s < samples; s++) {
          for (int i = 0; i < indices.length; i++) {
            for (int c = 0; indices[i] >= 0 && c < a.columns; c++) {
              a.gradient[(s * node.length + indices[i]) * a.columns + c] +=
                  up[(s * indices.length + i) * a.columns + c];
            }
          }
        }
      }
      case POOLED -> {
        for (int r = 0; r < a.rows; r++) {
          for (int c = 0; c < a.columns; c++) {
            a.gradient[r * a.columns + c] += up[r / node.length * a.columns + c] / node.length;
          }
        }
      }
      case ATTENDED -> undoAttended(node);
      case SQUARES -> {
        int all = a.rows * a.columns;
        for (int i = 0; i < all; i++) {
          a.gradient[i] += up[0] * (a.value[i] - node.targets[i]) / all;
        }
      }
      case CROSS_ENTROPY -> {
        for (int i = 0; i < a.rows * a.columns; i++) {
          float target = node.indices[i / a.columns] == i % a.columns ? 1 : 0;
          a.gradient[i] += up[0] * (node.scratch[i] - target) / a.rows;
        }
      }
      case LOGISTIC -> {
        int all = a.rows * a.columns;
        for (int i = 0; i < all; i++) {
          a.gradient[i] += up[0] * (logistic(a.value[i]) - node.number) / all;
        }
      }
    }
  }

  private static void undoNormalised(Node node) {
    int n = node.columns;
    for (int r = 0; r < node.rows; r++) {
      float reciprocal = node.scratch[node.rows * n + r];
      float mean = 0;
      float along = 0;
      for (int c = 0; c < n; c++) {
        float up = node.gradient[r * n + c];
        float unit = node.scratch[r * n + c];
        if (node.b.wanted) {
          node.b.gradient[c] += up * unit;
        }
        if (node.c.wanted) {
          node.c.gradient[c] += up;
        }
        mean += up * node.b.value[c] / n;
        along += up * node.b.value[c] * unit / n;
      }
      for (int c = 0; node.a.wanted && c < n; c++) {
        float up = node.gradient[r * n + c] * node.b.value[c];
        node.a.gradient[r * n + c] += reciprocal * (up - mean - node.scratch[r * n + c] * along);
      }
    }
  }

  private static void undoAttended(Node node) {
    Node queries = node.a;
    Node keys = node.b;
    Node values = node.c;
    int n = node.columns;
    int sequence = node.length;
    float scale = (float) (1 / Math.sqrt(n));
    // Behind the weights, room for one row of their gradient.
    int ofWeights = node.rows * sequence;
    for (int r = 0; r < node.rows; r++) {
      int first = r / sequence * sequence;
      int seen = r - first + 1;
      for (int j = 0; j < seen; j++) {
        float weight = node.scratch[r * sequence + j];
        float dot = 0;
        for (int c = 0; c < n; c++) {
          float up = node.gradient[r * n + c];
          if (values.wanted) {
            values.gradient[(first + j) * n + c] += weight * up;
          }
          dot += up * values.value[(first + j) * n + c];
        }
        node.scratch[ofWeights + j] = dot;
      }
      float mean = 0;
      for (int j = 0; j < seen; j++) {
        mean += node.scratch[ofWeights + j] * node.scratch[r * sequence + j];
      }
      for (int j = 0; j < seen; j++) {
        float up = scale * node.scratch[r * sequence + j] * (node.scratch[ofWeights + j] - mean);
        for (int c = 0; c < n; c++) {
          if (queries.wanted) {
            queries.gradient[r * n + c] += up * keys.value[(first + j) * n + c];
          }
          if (keys.wanted) {
            keys.gradient[(first + j) * n + c] += up * queries.value[r * n + c];
          }
        }
      }
    }
  }

  private static void undoSoftmax(float[] value, float[] up, float[] into, int from, int count) {
    float mean = 0;
    for (int i = from; i < from + count; i++) {
      mean += up[i] * value[i];
    }
    for (int i = from; i < from + count; i++) {
      into[i] += value[i] * (up[i] - mean);
    }
  }

  private static void addTo(Node node, float[] up, float factor, int count) {
    if (node.wanted) {
      for (int i = 0; i < count; i++) {
        node.gradient[i] += factor * up[i];
      }
    }
  }

  private static void softmax(float[] from, float[] to, int at, int count) {
    float highest = Float.NEGATIVE_INFINITY;
    for (int i = at; i < at + count; i++) {
      highest = Math.max(highest, from[i]);
    }
    float sum = 0;
    for (int i = at; i < at + count; i++) {
      to[i] = (float) Math.exp(from[i] - highest);
      sum += to[i];
    }
    for (int i = at; i < at + count; i++) {
      to[i] /= sum;
    }
  }

  private static float logistic(float x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }

  private void count(int owner, int units, int flat) {
    activations[owner] += units;
    saturated[owner] += flat;
  }

  /** The next node, with zeros as values if that is asked for, else whatever was there. */
  private Node node(Kind kind, Node a, Node b, int rows, int columns, boolean zeroed) {
    if (size == nodes.size()) {
      nodes.add(new Node());
    }
    Node node = nodes.get(size++);
    boolean own = kind != Kind.CONSTANT && kind != Kind.PARAMETER;
    if (own) {
      boolean borrowed = node.kind == Kind.CONSTANT || node.kind == Kind.PARAMETER;
      if (borrowed || node.value.length < rows * columns) {
        node.value = new float[rows * columns];
        node.gradient = new float[rows * columns];
      } else if (zeroed) {
        Arrays.fill(node.value, 0, rows * columns, 0);
      }
    }
    node.kind = kind;
    node.a = a;
    node.b = b;
    node.c = null;
    node.wanted = kind == Kind.PARAMETER || wanted(a) || wanted(b);
    node.transposedIsCurrent = false;
    node.rows = rows;
    node.columns = columns;
    return node;
  }

  private static boolean wanted(Node operand) {
    return operand != null && operand.wanted;
  }

  private static float[] transposed(Node node) {
    if (!node.transposedIsCurrent) {
      node.transposed = atLeast(node.transposed, node.rows * node.columns);
      Products.transpose(node.value, node.transposed, node.rows, node.columns);
      node.transposedIsCurrent = true;
    }
    return node.transposed;
  }

  private static float[] atLeast(float[] buffer, int length) {
    return buffer.length < length ? new float[length] : buffer;
  }

  private static void round(float[] values, int count) {
    for (int i = 0; i < count; i++) {
      values[i] = half(values[i]);
    }
  }

  /** The nearest number of IEEE 754 half precision, ties to even. */
  static float half(float value) {
    float size = Math.abs(value);
    if (size >= 65_520) {
      return value > 0 ? Float.POSITIVE_INFINITY : Float.NEGATIVE_INFINITY;
    }
    if (size < 0x1p-14f) {
      return (float) (Math.rint(value * 0x1p24) * 0x1p-24);
    }
    if (Float.isNaN(value)) {
      return value;
    }
    int bits = Float.floatToRawIntBits(value);
    return Float.intBitsToFloat((bits + 0xfff + (bits >> 13 & 1)) & ~0x1fff);
  }
}
