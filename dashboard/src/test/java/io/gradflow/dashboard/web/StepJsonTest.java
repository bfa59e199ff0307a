package io.gradflow.dashboard.web;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.dashboard.live.StepRow;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Everything of one step whose stages have a record each. */
class StepJsonTest {
  private static Step step(
      int rank, NonFinite bad, int[] incomplete, RankPlaces places, double... norms) {
    return new Step(
        new StepId("run", 1, StepId.MAIN_STREAM, 5),
        rank,
        0,
        1,
        0,
        2,
        ClosedBy.COMPLETE,
        false,
        1,
        2,
        new int[] {rank},
        new int[0],
        incomplete,
        incomplete == null ? null : new double[] {0.5},
        1,
        new NormColumns(
            null,
            norms,
            norms,
            norms,
            norms,
            null,
            bad,
            bad == null ? null : new int[] {rank},
            null),
        new RankEvidence(
            new int[] {rank},
            new double[] {rank},
            new long[] {7},
            null,
            1,
            new int[] {-1, rank},
            new float[] {Float.NaN, 3},
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            places,
            null),
        new StepScalars(null, null, null, null, false, null, null, 1),
        List.of(),
        null);
  }

  @Test
  void layersAndRanksOfLaterStagesFollowThoseOfTheFirst() throws IOException {
    Step first = step(0, null, null, null, 1, 2);
    NonFinite bad = new NonFinite(new int[] {1}, new long[] {4}, new long[] {0}, new long[] {0});
    RankPlaces places = new RankPlaces(new String[] {"node-1"}, new int[] {0}, null, null);
    Step second = step(8, bad, new int[] {0}, places, 3, 4);
    Step both = step(0, null, null, null, 1, 2, 3, 4);
    StepRow row = StepRow.of(both, new Origin("gradient-steps", 0, 0, 0));
    JsonNode json =
        new ObjectMapper()
            .readTree(
                StepJson.of(
                    row, List.of(new StepJson.Part(0, first), new StepJson.Part(2, second))));
    assertThat(json.at("/norms/l2")).hasToString("[1.0,2.0,3.0,4.0]");
    assertThat(json.at("/norms/nans")).hasToString("[0,0,0,4]");
    assertThat(json.at("/norms/zeros").isNull()).isTrue();
    assertThat(json.at("/incomplete")).hasToString("[{\"layer\":2,\"completeness\":0.5}]");
    assertThat(json.at("/nonFinite/0/layer").intValue()).isEqualTo(3);
    assertThat(json.at("/nonFinite/0/firstRank").intValue()).isEqualTo(8);
    assertThat(json.at("/missingRanks")).hasToString("[0,8]");
    assertThat(json.at("/ranks/rank")).hasToString("[0,8]");
    assertThat(json.at("/ranks/lagMs")).hasToString("[7,7]");
    assertThat(json.at("/ranks/dropped").isNull()).isTrue();
    assertThat(json.at("/ranks/host")).hasToString("[null,\"node-1\"]");
    assertThat(json.at("/outliers/0/layer").intValue()).isEqualTo(1);
    assertThat(json.at("/outliers/1/layer").intValue()).isEqualTo(3);
    assertThat(json.at("/outliers/1/rank").intValue()).isEqualTo(8);
  }

  @Test
  void layersOfAStageThatHasNotComeAreUnknown() throws IOException {
    Step late = step(8, null, null, null, 3, 4);
    StepRow row =
        StepRow.of(step(8, null, null, null, 1, 2, 3, 4), new Origin("gradient-steps", 0, 0, 0));
    JsonNode json =
        new ObjectMapper().readTree(StepJson.of(row, List.of(new StepJson.Part(2, late))));
    assertThat(json.at("/norms/l2")).hasToString("[null,null,3.0,4.0]");
  }
}
