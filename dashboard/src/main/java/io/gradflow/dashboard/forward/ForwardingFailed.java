package io.gradflow.dashboard.forward;

/** Nothing can be forwarded; the message is one line that says why and what to do. */
public final class ForwardingFailed extends RuntimeException {
  ForwardingFailed(String message, Throwable cause) {
    super(message, cause);
  }
}
