package io.gradflow.core.compare;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Says what a comparison found. */
final class Sentence {
  private static final int MOST_CHARACTERS = 120;

  /** A learning rate that differs by less is the same. */
  private static final double SAME_RATE_OCTAVES = 0.01;

  private final Comparison comparison;

  Sentence(Comparison comparison) {
    this.comparison = comparison;
  }

  static LayerChange mostDifferent(List<LayerChange> layers) {
    return layers.stream()
        .filter(layer -> !Double.isNaN(layer.rms().difference()))
        .max(Comparator.comparingDouble(Sentence::size))
        .orElse(null);
  }

  private static double size(LayerChange layer) {
    return Math.abs(layer.rms().difference());
  }

  @Override
  public String toString() {
    String text = learningRate() + gradients() + oneSided() + ".";
    return text.substring(0, 1).toUpperCase(Locale.ROOT) + text.substring(1);
  }

  private String learningRate() {
    Change rate = comparison.run().get(RunMeasure.LEARNING_RATE);
    if (rate == null || !(Math.abs(rate.difference()) >= SAME_RATE_OCTAVES)) {
      return "";
    }
    return "Learning rate ×%s (%s to %s): "
        .formatted(
            number(Math.pow(2, rate.difference())),
            number(Math.pow(2, rate.before().mean())),
            number(Math.pow(2, rate.after().mean())));
  }

  private String gradients() {
    List<LayerChange> layers = comparison.layers();
    if (layers.isEmpty()) {
      return "the two have no layer of the same name";
    }
    int judged = (int) layers.stream().filter(l -> !Double.isNaN(l.rms().familyP())).count();
    LayerChange most = comparison.mostDifferent();
    String largest =
        most == null
            ? ""
            : "; the largest difference is %s octaves, of %s"
                .formatted(number(most.rms().difference()), plain(most.layer().name()));
    String unsettled =
        most != null && most.rms().isUnsettled() ? ", and longer spans would tell" : "";
    if (judged == 0) {
      return "no layer has the %d complete, finite and nonzero steps on either side that it takes to tell change from noise%s"
          .formatted(BatchMeans.MIN_STEPS, largest);
    }
    List<LayerChange> changed = comparison.changed();
    if (changed.isEmpty()) {
      return "no layer's gradient changed by more than its noise, of %d compared%s%s"
          .formatted(judged, largest, unsettled);
    }
    String groups =
        changed.stream()
            .collect(Collectors.partitioningBy(layer -> layer.rms().difference() > 0))
            .values()
            .stream()
            .filter(group -> !group.isEmpty())
            .sorted(Comparator.comparingDouble(group -> -size(mostDifferent(group))))
            .map(this::group)
            .collect(Collectors.joining("; "));
    return "%s; %d of %d layers changed%s"
        .formatted(groups, changed.size(), judged, unsettled.isEmpty() ? "" : largest + unsettled);
  }

  private String oneSided() {
    List<LayerChange> layers =
        comparison.layers().stream().filter(LayerChange::isOneSided).toList();
    if (layers.isEmpty()) {
      return "";
    }
    String first = plain(layers.get(0).layer().name());
    return layers.size() == 1
        ? "; " + first + " has a gradient to measure in one of the two only"
        : "; %d layers, %s the first, have a gradient to measure in one of the two only"
            .formatted(layers.size(), first);
  }

  private String group(List<LayerChange> group) {
    double mean =
        group.stream().mapToDouble(layer -> layer.rms().difference()).average().orElseThrow();
    String said =
        "%s %s by %s octaves (×%s)"
            .formatted(
                subject(group),
                mean > 0 ? "rose" : "fell",
                number(Math.abs(mean)),
                number(Math.pow(2, mean)));
    if (group.size() == 1) {
      return said;
    }
    LayerChange most = mostDifferent(group);
    return "%s on average, most %s by %s"
        .formatted(said, plain(most.layer().name()), number(Math.abs(most.rms().difference())));
  }

  /** The layers of a group by one name, if they have one. */
  private String subject(List<LayerChange> group) {
    if (group.size() == 1) {
      return "the gradient of " + plain(group.get(0).layer().name());
    }
    if (group.size() == comparison.layers().size()) {
      return "the gradients of all layers";
    }
    String prefix = commonPrefix(group);
    long named =
        comparison.layers().stream().filter(l -> l.layer().name().startsWith(prefix)).count();
    if (prefix.isEmpty()) {
      return "the gradients of " + group.size() + " layers";
    }
    return named == group.size()
        ? "the gradients of " + plain(prefix) + "*"
        : "the gradients of %d of %d layers of %s*".formatted(group.size(), named, plain(prefix));
  }

  /** What the names of all begin with, up to the last dot or slash in it. */
  private static String commonPrefix(List<LayerChange> group) {
    String common = group.get(0).layer().name();
    for (LayerChange layer : group) {
      int same = 0;
      String name = layer.layer().name();
      while (same < Math.min(common.length(), name.length())
          && common.charAt(same) == name.charAt(same)) {
        same++;
      }
      common = common.substring(0, same);
    }
    return common.substring(0, Math.max(common.lastIndexOf('.'), common.lastIndexOf('/')) + 1);
  }

  private static String number(double value) {
    String digits = String.format(Locale.ROOT, "%.3g", value);
    return digits.contains("e") || !digits.contains(".")
        ? digits
        : digits.replaceFirst("\\.?0+$", "");
  }

  private static String plain(String name) {
    String plain = name.replaceAll("\\p{Cntrl}", "?");
    return plain.length() <= MOST_CHARACTERS
        ? plain
        : plain.substring(0, MOST_CHARACTERS - 1) + "…";
  }
}
