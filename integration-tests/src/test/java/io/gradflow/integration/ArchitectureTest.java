package io.gradflow.integration;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import java.util.Random;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.flink.api.common.functions.Function;

/** The walls between the modules, and what must not pass through them. */
@AnalyzeClasses(packages = "io.gradflow", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  @ArchTest
  static final ArchRule coreNeedsTheJdkAlone =
      classes()
          .that()
          .resideInAPackage("io.gradflow.core..")
          .should()
          .onlyDependOnClassesThat()
          .resideInAnyPackage("io.gradflow.core..", "java..");

  @ArchTest
  static final ArchRule timeAndChanceAreArgumentsInCore =
      noClasses()
          .that()
          .resideInAPackage("io.gradflow.core..")
          .should()
          .callMethod(System.class, "currentTimeMillis")
          .orShould()
          .callMethod(System.class, "nanoTime")
          .orShould()
          .callConstructor(Random.class)
          .orShould()
          .dependOnClassesThat()
          .belongToAnyOf(java.time.Clock.class, Thread.class, ThreadLocalRandom.class);

  @ArchTest
  static final ArchRule schemasKnowNeitherFlinkNorKafka =
      noClasses()
          .that()
          .resideInAPackage("io.gradflow.schema..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.flink..", "org.apache.kafka..");

  @ArchTest
  static final ArchRule operatorsKnowNoKafka =
      noClasses()
          .that()
          .resideInAPackage("io.gradflow.operators..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "org.apache.kafka..", "org.apache.flink.connector..", "io.gradflow.jobs..");

  @ArchTest
  static final ArchRule onlyAnalysisKnowsNd4j =
      noClasses()
          .that()
          .resideOutsideOfPackages("io.gradflow.operators.analysis..", "io.gradflow.benchmarks..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.nd4j..", "org.bytedeco..");

  @ArchTest
  static final ArchRule jobsWireAndDoNotDecide =
      noClasses()
          .that()
          .resideInAPackage("io.gradflow.jobs..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "org.apache.flink.api.common.state..", "io.gradflow.cli..", "io.gradflow.training..");

  @ArchTest
  static final ArchRule trainersDoNotNeedFlink =
      noClasses()
          .that()
          .resideInAnyPackage("io.gradflow.trainer..", "io.gradflow.training..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "org.apache.flink..", "io.gradflow.operators..", "io.gradflow.jobs..");

  @ArchTest
  static final ArchRule flinkFunctionsLiveInOperatorsOrJobs =
      classes()
          .that()
          .areAssignableTo(Function.class)
          .should()
          .resideInAnyPackage("io.gradflow.operators..", "io.gradflow.jobs..");

  @ArchTest
  static final ArchRule packagesDoNotDependInCircles =
      slices().matching("io.gradflow.(**)").should().beFreeOfCycles();
}
