package io.gradflow.jobs;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaCall;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.typeutils.TypeExtractor;

/**
 * State is described by type information that somebody chose: the types of records, which refuse
 * what would fall to Kryo, and Flink's basic types. What Flink would guess from a class is never
 * asked for.
 */
@AnalyzeClasses(
    packages = {"io.gradflow.operators", "io.gradflow.jobs"},
    importOptions = ImportOption.DoNotIncludeTests.class)
class StateTypesTest {
  @ArchTest
  static final ArchRule noStateIsDescribedByAClass =
      noClasses().should().callConstructorWhere(describesStateByAClass());

  @ArchTest
  static final ArchRule noTypeIsGuessed =
      noClasses()
          .should()
          .callMethod(TypeInformation.class, "of", Class.class)
          .orShould()
          .callMethod(TypeInformation.class, "of", TypeHint.class)
          .orShould()
          .dependOnClassesThat()
          .areAssignableTo(TypeExtractor.class)
          .orShould()
          .callMethod(org.apache.flink.api.common.typeinfo.Types.class, "GENERIC", Class.class)
          .orShould()
          .callMethod(org.apache.flink.api.common.typeinfo.Types.class, "POJO", Class.class);

  private static DescribedPredicate<JavaCall<?>> describesStateByAClass() {
    return DescribedPredicate.describe(
        "of a state descriptor by a class",
        call ->
            call.getTargetOwner().isAssignableTo(StateDescriptor.class)
                && call.getTarget().getRawParameterTypes().stream()
                    .anyMatch(type -> type.isEquivalentTo(Class.class)));
  }
}
