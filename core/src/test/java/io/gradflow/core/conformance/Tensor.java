package io.gradflow.core.conformance;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Stage;
import java.util.List;
import java.util.Random;

/**
 * A layer as a framework lays it over the mesh: which elements the rank at some coordinates holds.
 * Worked out from the placement alone, apart from the code under test.
 *
 * @param homeAxis the mesh dimension along which one coordinate holds all (a pipeline stage, an
 *     expert, a parameter with one owner); -1 if there is none
 * @param home that coordinate
 * @param reported whether ranks publish it: frozen and tied layers need not be
 */
record Tensor(
    Layer layer,
    List<MeshAxis> mesh,
    Cut cut,
    long cutSeed,
    int homeAxis,
    int home,
    boolean reported) {

  /** How a dimension is cut into pieces. */
  enum Cut {
    /** As the contract implies it: equal pieces, the remainder over the first ones. */
    EVEN,
    /** Pieces of the same rounded-up size, the last ones shorter or empty. */
    CHUNKED,
    /** Anywhere: flat parameters that hold many tensors. */
    RAGGED
  }

  /** The elements from one index to before another. */
  record Slice(int from, int to) {
    int length() {
      return to - from;
    }
  }

  int elements() {
    return (int) layer.elements();
  }

  /** Whether a shard need not say how many elements of it the slice has. */
  boolean isImplied() {
    return cut == Cut.EVEN && homeAxis < 0;
  }

  /** Not in the global norm: another layer is the same tensor, or nothing trains it. */
  boolean isOptional() {
    return !layer.trainable() || layer.tiedTo() != null;
  }

  boolean isPartial() {
    return layer.placement().contains(Placement.PARTIAL);
  }

  /** The tensor whose gradient this is: its own name, or that of the layer it is tied to. */
  String owner() {
    return layer.tiedTo() == null ? layer.name() : layer.tiedTo();
  }

  /** What the rank at these coordinates holds; empty if nothing. */
  Slice slice(Stage stage, int[] coords) {
    int pieces = 1;
    int piece = 0;
    for (int axis = 0; axis < coords.length; axis++) {
      if (layer.placement().get(axis) != Placement.SHARD || isWhole(stage, axis)) {
        continue;
      }
      if (axis == homeAxis) {
        if (coords[axis] != home) {
          return new Slice(0, 0);
        }
      } else {
        pieces *= mesh.get(axis).size();
        piece = piece * mesh.get(axis).size() + coords[axis];
      }
    }
    return new Slice(bound(pieces, piece), bound(pieces, piece + 1));
  }

  /** Before the reduction every data-parallel rank holds what its own samples say of all. */
  private boolean isWhole(Stage stage, int axis) {
    return stage == Stage.LOCAL && Composition.sharesOutData(mesh.get(axis));
  }

  private int bound(int pieces, int piece) {
    int count = elements();
    return switch (cut) {
      case EVEN -> piece * (count / pieces) + Math.min(piece, count % pieces);
      case CHUNKED -> Math.min(count, piece * ((count + pieces - 1) / pieces));
      case RAGGED -> {
        if (piece == 0 || piece == pieces) {
          yield piece == 0 ? 0 : count;
        }
        Random random = new Random(cutSeed * 31 + pieces);
        int[] bounds = random.ints(pieces - 1, 0, count + 1).sorted().toArray();
        yield bounds[piece - 1];
      }
    };
  }

  /** Which of the copies the rank holds, or holds a slice of. */
  int replica(int[] coords) {
    return index(coords, Placement.REPLICATE, Stage.REDUCED);
  }

  /** Which of the summands that nobody has added up yet the rank holds. */
  int summand(Stage stage, int[] coords) {
    return index(coords, Placement.PARTIAL, stage);
  }

  /** How many such summands there are. */
  int summands(Stage stage) {
    int[] last = mesh.stream().mapToInt(axis -> axis.size() - 1).toArray();
    return 1 + summand(stage, last);
  }

  private int index(int[] coords, Placement placement, Stage stage) {
    int index = 0;
    for (int axis = 0; axis < coords.length; axis++) {
      if (layer.placement().get(axis) == placement && !isWhole(stage, axis)) {
        index = index * mesh.get(axis).size() + coords[axis];
      }
    }
    return index;
  }

  @Override
  public String toString() {
    StringBuilder letters = new StringBuilder();
    layer.placement().forEach(placement -> letters.append(placement.name().charAt(0)));
    String where = homeAxis < 0 ? "" : " at " + mesh.get(homeAxis).name() + " " + home;
    String flags = (layer.trainable() ? "" : " frozen") + (reported ? "" : " unreported");
    String tied = layer.tiedTo() == null ? "" : " = " + layer.tiedTo();
    return layer.name() + tied + " " + elements() + " " + letters + " " + cut + where + flags;
  }
}
