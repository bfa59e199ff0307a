package io.gradflow.cli;

import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.flink.util.SerializedThrowable;

/** Says in one line why something failed. */
final class Causes {
  /** The line of a cause: its type, without the package, and its message. */
  private static final Pattern IN_A_TRACE =
      Pattern.compile("(?m)^(?:Caused by: )?(?:[\\w$]+\\.)+([\\w$]+(?:: .+)?)$");

  private Causes() {}

  /**
   * The innermost cause of a printed stack trace, as {@link #innermost(Throwable)} would say it.
   */
  static Optional<String> innermost(String stackTrace) {
    return IN_A_TRACE
        .matcher(stackTrace)
        .results()
        .map(cause -> cause.group(1))
        .reduce((outer, inner) -> inner);
  }

  /** The innermost cause, its simple type and message on one line. */
  static String innermost(Throwable failure) {
    Throwable cause = failure;
    while (cause.getCause() != null && cause.getCause() != cause) {
      cause = cause.getCause();
    }
    String type =
        cause instanceof SerializedThrowable serialized
            ? serialized.getOriginalErrorClassName()
            : cause.getClass().getName();
    String simpleType = type.substring(type.lastIndexOf('.') + 1);
    String message = cause.getMessage() == null ? "" : cause.getMessage().strip();
    // A throwable that crossed Flink's wire repeats its type in its message.
    String own = message.startsWith(type + ": ") ? message.substring(type.length() + 2) : message;
    return own.isEmpty() ? simpleType : simpleType + ": " + own.lines().findFirst().orElseThrow();
  }
}
