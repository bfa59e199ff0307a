package io.gradflow.cli;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A run, or steps of it, as a person names them: {@code RUN} or {@code RUN:FROM-TO}. A colon in a
 * run's name is part of it, unless numbers follow to the end.
 *
 * @param to inclusive
 */
record SpanArgument(String run, long from, long to) {
  private static final Pattern WITH_STEPS = Pattern.compile("(.+):(\\d+)-(\\d+)", Pattern.DOTALL);

  private boolean isWhole() {
    return to == Long.MAX_VALUE;
  }

  /** The steps asked for, in words. */
  String steps() {
    return isWhole() ? "steps" : "steps %d to %d".formatted(from, to);
  }

  /** Reads the text. */
  static final class Converter implements ITypeConverter<SpanArgument> {
    @Override
    public SpanArgument convert(String text) {
      Matcher parts = WITH_STEPS.matcher(text);
      if (!parts.matches()) {
        return new SpanArgument(text, 0, Long.MAX_VALUE);
      }
      long from;
      long to;
      try {
        from = Long.parseLong(parts.group(2));
        to = Long.parseLong(parts.group(3));
      } catch (NumberFormatException e) {
        throw new TypeConversionException(
            "expected step numbers below 2^63 in RUN:FROM-TO, got '" + text + "'");
      }
      if (from > to) {
        throw new TypeConversionException(
            "expected FROM up to TO in RUN:FROM-TO, got '" + text + "'");
      }
      return new SpanArgument(parts.group(1), from, to);
    }
  }
}
