package io.gradflow.cli;

import io.gradflow.core.StepId;
import io.gradflow.core.compare.Comparison;
import java.io.PrintWriter;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gradflow compare}: what differs between two spans or runs. */
@Command(
    name = "compare",
    description = {
      "Compares two spans of steps, of one run or of two, layer by layer: what a change of learning"
          + " rate, normalisation or weight decay did to the gradients.",
      "Reads gradient-steps. Layers are paired by name; marked is what differs by more than noise"
          + " from step to step (below 1 in 100 that any layer is marked wrongly)."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class CompareCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      index = "0",
      paramLabel = "RUN[:FROM-TO]",
      converter = SpanArgument.Converter.class,
      description = "Before: a run, or its steps FROM to TO, both included.")
  private SpanArgument before;

  @Parameters(
      index = "1",
      paramLabel = "RUN[:FROM-TO]",
      converter = SpanArgument.Converter.class,
      description = "After: likewise.")
  private SpanArgument after;

  @Mixin private KafkaCluster cluster;

  @Option(
      names = "--stream",
      paramLabel = "NAME",
      defaultValue = StepId.MAIN_STREAM,
      description = "Of trainings with several optimisers, which (default: ${DEFAULT-VALUE}).")
  private String stream;

  @Option(
      names = "--before-attempt",
      paramLabel = "MS",
      description =
          "Only this attempt's steps, abandoned ones too (default: the run as it stands after its"
              + " restarts).")
  private Optional<Long> beforeAttempt = Optional.empty();

  @Option(names = "--after-attempt", paramLabel = "MS", description = "Likewise.")
  private Optional<Long> afterAttempt = Optional.empty();

  @Option(
      names = "--layers",
      paramLabel = "N",
      defaultValue = "40",
      description = "Draw the N layers that differ most (default: ${DEFAULT-VALUE}); text only.")
  private int shown;

  @Option(
      names = "--format",
      paramLabel = "text|json",
      defaultValue = "text",
      description = "A table for people or one object with everything (default: ${DEFAULT-VALUE}).")
  private Format format;

  @Override
  public Integer call() {
    if (shown < 0) {
      throw new ParameterException(
          spec.commandLine(), "--layers: expected at least 0, got " + shown);
    }
    PrintWriter err = spec.commandLine().getErr();
    SpanReader reader = new SpanReader(cluster.bootstrapServers(), new Pulse(err));
    List<ComparedSpan> spans =
        reader.read(
            List.of(
                new SpanReader.Wanted(before, stream, beforeAttempt),
                new SpanReader.Wanted(after, stream, afterAttempt)));
    if (reader.unreadable() > 0) {
      err.println(reader.unreadable() + " records could not be read");
    }
    if (reader.withoutManifest() > 0) {
      err.println(
          reader.withoutManifest()
              + " steps were left out: their layers are described by no manifest in gradient-manifests");
    }
    ComparedSpan one = spans.get(0);
    ComparedSpan other = spans.get(1);
    Comparison comparison = Comparison.of(one.statistics(), other.statistics());
    PrintWriter out = spec.commandLine().getOut();
    if (format == Format.JSON) {
      out.println(ComparisonJson.of(one, other, comparison));
    } else {
      Terminal terminal = new Terminal(out, System.getenv());
      ComparisonView view = new ComparisonView(terminal.isLive() && terminal.isStyled());
      // What goes into a file is not cut.
      int width = terminal.isLive() ? terminal.size().columns() : Integer.MAX_VALUE;
      view.lines(one, other, comparison, width, shown).forEach(out::println);
    }
    out.flush();
    return 0;
  }
}
