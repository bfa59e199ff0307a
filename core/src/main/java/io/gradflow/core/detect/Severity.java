package io.gradflow.core.detect;

/** Who should care: nobody at once, somebody today, the on-call engineer now. */
public enum Severity {
  INFO,
  WARNING,
  CRITICAL
}
