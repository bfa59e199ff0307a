package io.gradflow.cli;

/**
 * A command cannot do what it was asked for, for a reason its user can understand: the message is
 * one line that says who, what was expected, what came and what to do. Exit code 1, no stack trace.
 */
final class CommandFailed extends RuntimeException {
  CommandFailed(String message) {
    super(message);
  }

  CommandFailed(String message, Throwable cause) {
    super(message, cause);
  }
}
