package io.gradflow.jobs;

/**
 * What a job was told cannot be used. The message is one line for whoever started it: what was
 * expected, what came, what to do. There is no stack trace: none of it is the program's fault.
 */
public final class UnusableSettings extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  UnusableSettings(String line) {
    super(line);
  }

  @Override
  public synchronized Throwable fillInStackTrace() {
    return this;
  }
}
