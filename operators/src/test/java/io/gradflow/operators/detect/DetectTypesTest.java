package io.gradflow.operators.detect;

import static org.assertj.core.api.Assertions.assertThatCode;

import io.gradflow.core.detect.HeldSteps;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.RunTrends;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.RunIncidents;
import io.gradflow.core.norm.StepParts;
import io.gradflow.operators.types.RecordTypes;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DetectTypesTest {
  @ParameterizedTest
  @ValueSource(
      classes = {
        StepOrNotice.class,
        StepFindings.class,
        Alert.class,
        Rule.class,
        RunTrends.class,
        RunIncidents.class,
        HeldSteps.class,
        StepParts.class,
        Silence.Heard.class
      })
  void edgesAndStatesNeedNoKryo(Class<?> type) {
    var config = new SerializerConfigImpl();
    config.setGenericTypes(false);

    assertThatCode(() -> RecordTypes.of(type).createSerializer(config)).doesNotThrowAnyException();
  }
}
