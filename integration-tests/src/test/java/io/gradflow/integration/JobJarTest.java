package io.gradflow.integration;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.NormJob;
import java.io.File;
import java.io.IOException;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The jar that Flink is given. That it works is what the tests on a cluster of processes show. */
@Tag("packaged")
class JobJarTest {
  private static final File JAR = new File(System.getProperty("gradflow.job.jar"));

  @Test
  void holdsBothJobsAndWhatTheyNeedButNotFlink() throws IOException {
    try (JarFile jar = new JarFile(JAR)) {
      assertThat(jar.stream().map(ZipEntry::getName))
          .contains(
              entry(NormJob.class.getName()),
              entry(AlertJob.class.getName()),
              entry("io.gradflow.core.norm.Step"),
              entry("org.apache.flink.connector.kafka.source.KafkaSource"),
              entry("org.apache.kafka.clients.consumer.KafkaConsumer"),
              entry("org.apache.avro.Schema"))
          .doesNotContain(
              entry("org.apache.flink.streaming.api.environment.StreamExecutionEnvironment"),
              entry("org.apache.flink.configuration.Configuration"),
              entry("org.slf4j.Logger"),
              entry("org.apache.logging.log4j.Logger"))
          .noneMatch(name -> name.startsWith("org/apache/flink/runtime/") || name.endsWith(".SF"))
          .noneMatch(name -> name.startsWith("org/nd4j/") || name.startsWith("org/bytedeco/"));
    }
    assertThat(JAR.length()).as("bytes").isLessThan(30L << 20);
  }

  @Test
  void saysItsVersionWhichDeadLettersName() throws IOException {
    try (JarFile jar = new JarFile(JAR)) {
      assertThat(
              jar.getManifest()
                  .getMainAttributes()
                  .getValue(Attributes.Name.IMPLEMENTATION_VERSION))
          .isNotBlank()
          .satisfies(version -> assertThat(JAR.getName()).contains(version));
    }
  }

  private static String entry(String type) {
    return type.replace('.', '/') + ".class";
  }
}
