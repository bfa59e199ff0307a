package io.gradflow.dashboard.web;

import com.fasterxml.jackson.databind.JsonNode;

/** Steers a demo's training. */
final class DemoApi {
  private static final int MOST_NAME = 500;

  private final DemoControl demo;

  DemoApi(DemoControl demo) {
    this.demo = demo;
  }

  byte[] state() {
    DemoControl.State state = demo.state();
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  out.writeStringField("run", state.run());
                  out.writeStringField("scenario", state.scenario());
                  Json.texts(out, "scenarios", state.scenarios());
                  Json.texts(out, "layers", state.layers());
                  out.writeNumberField("ranks", state.ranks());
                  out.writeNumberField("step", state.step());
                  out.writeNumberField("steps", state.steps());
                  out.writeBooleanField("running", state.running());
                  DemoControl.Fault fault = state.fault();
                  if (fault == null) {
                    out.writeNullField("fault");
                    return;
                  }
                  Json.object(
                      out,
                      "fault",
                      () -> {
                        out.writeStringField("scenario", fault.scenario());
                        out.writeNumberField("step", fault.step());
                        out.writeStringField("layer", fault.layer());
                        Json.whole(out, "rank", fault.rank());
                      });
                }));
  }

  byte[] act(JsonNode body) {
    String action = Writing.name(body, "action");
    String scenario = Writing.name(body, "scenario");
    try {
      if (action.equals("strike")) {
        Integer rank =
            body.path("rank").isMissingNode() || body.path("rank").isNull()
                ? null
                : Integer.valueOf((int) Writing.number(body, "rank", 0, Integer.MAX_VALUE));
        long step = demo.strike(scenario, Writing.optionalText(body, "layer", MOST_NAME), rank);
        return Json.bytes(out -> Json.object(out, () -> out.writeNumberField("step", step)));
      }
      if (action.equals("restart")) {
        String run =
            demo.restart(scenario, Writing.number(body, "seed", Long.MIN_VALUE, Long.MAX_VALUE));
        return Json.bytes(out -> Json.object(out, () -> out.writeStringField("run", run)));
      }
    } catch (IllegalArgumentException e) {
      throw new Refused(400, e.getMessage());
    } catch (IllegalStateException e) {
      throw new Refused(409, e.getMessage());
    }
    throw new Refused(400, "expected action to be strike or restart, got another");
  }
}
