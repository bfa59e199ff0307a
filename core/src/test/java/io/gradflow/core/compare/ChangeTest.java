package io.gradflow.core.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ChangeTest {

  /** From printed tables; the last from the normal distribution. */
  @ParameterizedTest
  @CsvSource({
    "12.706, 1, 0.05",
    "2.228, 10, 0.05",
    "3.169, 10, 0.01",
    "4.587, 10, 0.001",
    "2.042, 30, 0.05",
    "0.6745, 1e7, 0.5",
    "3.2905, 1e7, 0.001"
  })
  void studentsDistributionIsThatOfTheTables(double t, double freedom, double p) {
    assertThat(StudentT.twoSided(t, freedom)).isCloseTo(p, within(1e-3 * p));
    assertThat(StudentT.twoSided(-t, freedom)).isEqualTo(StudentT.twoSided(t, freedom));
  }

  @Test
  void withTwoDegreesOfFreedomItIsKnownExactly() {
    for (double t : new double[] {0, 0.1, 1, 10, 1e4}) {
      double exact = 1 - t / Math.sqrt(2 + t * t);
      assertThat(StudentT.twoSided(t, 2)).isCloseTo(exact, within(1e-9 * exact + 1e-15));
    }
  }

  @Test
  void holmsBoundStepsDownAndPassesOverWhatIsUnknown() {
    Map<String, Change> changes = new LinkedHashMap<>();
    double[] ps = {0.01, 0.04, Double.NaN, 0.03, 0.005};
    for (int i = 0; i < ps.length; i++) {
      changes.put("layer" + i, new Change(null, null, 1, 1, ps[i], ps[i]));
    }
    assertThat(Change.family(changes).values())
        .extracting(Change::familyP)
        .usingElementComparator((a, b) -> Math.abs(a - b) < 1e-15 ? 0 : Double.compare(a, b))
        .containsExactly(0.03, 0.06, Double.NaN, 0.06, 0.02);
  }

  @Test
  void constantsAreComparedExactly() {
    Change same = Change.between(constant(0.1), constant(0.1));
    assertThat(same.p()).isEqualTo(1);
    assertThat(Change.between(constant(0.1), constant(0.1 + 3e-16)).p()).isEqualTo(1);
    Change other = Change.between(constant(0.1), constant(0.05));
    assertThat(other.standardError()).isZero();
    assertThat(other.p()).isZero();
    assertThat(other.isSignificant()).isTrue();
  }

  @Test
  void ofNothingNothingIsKnown() {
    Change change = Change.between(new BatchMeans(10).estimate(), constant(1));
    assertThat(change.difference()).isNaN();
    assertThat(change.p()).isNaN();
    assertThat(change.isSignificant()).isFalse();
  }

  private static Estimate constant(double value) {
    var series = new BatchMeans(100);
    for (int i = 0; i < 100; i++) {
      series.add(i, value);
    }
    assertThat(series.estimate().mean()).isEqualTo(value);
    assertThat(series.estimate().scatter()).isZero();
    return series.estimate();
  }
}
