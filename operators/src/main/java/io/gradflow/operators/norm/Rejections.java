package io.gradflow.operators.norm;

import io.gradflow.core.Rejection;
import io.gradflow.operators.types.RecordTypes;
import org.apache.flink.util.OutputTag;

/** Where operators put what they understood but could not use. */
public final class Rejections {
  /** The side output of rejections. */
  public static final OutputTag<Rejection> TAG =
      new OutputTag<>("rejections", RecordTypes.of(Rejection.class));

  private Rejections() {}
}
