package io.gradflow.integration;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.RunEvent;
import io.gradflow.schema.Codecs;
import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.jar.JarFile;
import java.util.zip.ZipEntry;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.catalog.CatalogTable;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ObjectIdentifier;
import org.apache.flink.table.catalog.ResolvedCatalogTable;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.Factory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.runtime.connector.source.ScanRuntimeProviderContext;
import org.apache.flink.table.types.DataType;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The jar with the format for Flink SQL, alone beside Flink. */
@Tag("packaged")
class SqlJarTest {
  private static final File JAR = new File(System.getProperty("gradflow.sql.jar"));

  @Test
  void holdsNothingUnderNamesThatOtherJarsUse() throws Exception {
    try (JarFile jar = new JarFile(JAR)) {
      assertThat(jar.stream().map(ZipEntry::getName).filter(name -> name.endsWith(".class")))
          .contains(
              "io/gradflow/sql/GradflowFormatFactory.class",
              "io/gradflow/sql/shaded/schema/WriterSchemas.class",
              "io/gradflow/sql/shaded/avro/Schema.class")
          .allMatch(name -> name.startsWith("io/gradflow/sql/"));
    }
  }

  @Test
  void readsValuesWithNothingButFlinkBesideIt() throws Exception {
    RunEvent event =
        new RunEvent("run", 1, "main", 5, RunEvent.Type.CHECKPOINT, 7, Map.of("a", "b"));
    DataType columns =
        DataTypes.ROW(
            DataTypes.FIELD("type", DataTypes.STRING()),
            DataTypes.FIELD("step", DataTypes.BIGINT()));
    try (URLClassLoader loader =
        new URLClassLoader(new URL[] {JAR.toURI().toURL()}, new FlinkAlone())) {
      DeserializationFormatFactory format =
          ServiceLoader.load(Factory.class, loader).stream()
              .map(ServiceLoader.Provider::get)
              .filter(factory -> factory.factoryIdentifier().equals("gradflow"))
              .map(DeserializationFormatFactory.class::cast)
              .findFirst()
              .orElseThrow();
      DeserializationSchema<RowData> values =
          format
              .createDecodingFormat(
                  new FactoryUtil.DefaultDynamicTableContext(
                      ObjectIdentifier.of("c", "d", "t"),
                      table(),
                      Map.of(),
                      new Configuration(),
                      loader,
                      false),
                  new Configuration())
              .createRuntimeDecoder(ScanRuntimeProviderContext.INSTANCE, columns);
      values.open(new Opening(loader));

      RowData row = values.deserialize(Codecs.RUNS.encode(event).get(0).value());

      assertThat(format.getClass().getClassLoader()).isSameAs(loader);
      assertThat(row.getString(0)).hasToString("CHECKPOINT");
      assertThat(row.getLong(1)).isEqualTo(5);
    }
  }

  private static ResolvedCatalogTable table() {
    return new ResolvedCatalogTable(
        CatalogTable.newBuilder()
            .schema(Schema.newBuilder().build())
            .options(Map.of("topic", "gradient-runs"))
            .build(),
        ResolvedSchema.of(List.<Column>of()));
  }

  private record Opening(ClassLoader loader)
      implements DeserializationSchema.InitializationContext {
    @Override
    public MetricGroup getMetricGroup() {
      return new UnregisteredMetricsGroup();
    }

    @Override
    public UserCodeClassLoader getUserCodeClassLoader() {
      return SimpleUserCodeClassLoader.create(loader);
    }
  }

  /** Hides what a Flink distribution does not hold. */
  private static final class FlinkAlone extends ClassLoader {
    private static final List<String> HIDDEN =
        List.of("io.gradflow.", "org.apache.avro.", "com.fasterxml.", "org.apache.kafka.");

    FlinkAlone() {
      super(SqlJarTest.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (HIDDEN.stream().anyMatch(name::startsWith)) {
        throw new ClassNotFoundException(name);
      }
      return super.loadClass(name, resolve);
    }
  }
}
