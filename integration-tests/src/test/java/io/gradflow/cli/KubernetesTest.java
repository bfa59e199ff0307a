package io.gradflow.cli;

import static io.gradflow.cli.Kustomization.map;
import static io.gradflow.cli.Kustomization.maps;
import static io.gradflow.cli.Kustomization.texts;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.gradflow.schema.Topic;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What is under {@code deploy} says what the jobs, Flink, Kafka and the operators understand. */
class KubernetesTest {
  static final Path DEPLOY = Path.of("..", "deploy");
  static final Path EXAMPLE = DEPLOY.resolve("k8s/overlays/example");
  private static final Path USERS = DEPLOY.resolve("k8s/users");

  private static final Map<String, Object> FIELDS = fields();

  private static List<Map<String, Object>> example;

  @BeforeAll
  static void render() throws IOException {
    example = Kustomization.render(EXAMPLE);
  }

  @Test
  void isRenderedHereAsKustomizeDoes() throws Exception {
    assumeThat(kubectl("version", "--client").lines())
        .as("a kubectl with Kustomize 4 or newer on the path")
        .anyMatch(line -> line.matches("Kustomize Version: v([4-9]|\\d\\d).*"));

    for (Path folder : List.of(EXAMPLE, USERS, DEPLOY.resolve("k8s/base"))) {
      assertThat(byName(Kustomization.render(folder)))
          .as("%s", folder)
          .isEqualTo(byName(Kustomization.documents(kubectl("kustomize", folder.toString()))));
    }
  }

  @Test
  void everyFieldIsOneThatItsKindHas() throws Exception {
    List<Map<String, Object>> all = new ArrayList<>(example);
    all.addAll(Kustomization.render(USERS));

    assertThat(all.stream().flatMap(resource -> problems(resource).stream())).isEmpty();
    assertThat(all.stream().map(resource -> resource.get("kind")).distinct())
        .containsExactlyInAnyOrder(
            "FlinkDeployment",
            "KafkaTopic",
            "KafkaUser",
            "NetworkPolicy",
            "PodMonitor",
            "Role",
            "RoleBinding",
            "ServiceAccount");
  }

  @Test
  void aFieldThatIsMisspeltMissingOrOfAnotherTypeIsFound() {
    Map<String, Object> job = copyOf(deployment("gradflow-norm"));
    map(job.get("spec")).put("serviceAcount", "gradflow");
    map(job.get("spec")).remove("image");
    map(map(job.get("spec")).get("job")).put("parallelism", "4");
    map(map(job.get("spec")).get("job")).put("upgradeMode", "save-point");

    assertThat(problems(job))
        .containsExactlyInAnyOrder(
            "FlinkDeployment.spec.serviceAcount: there is no such field",
            "FlinkDeployment.spec.image: is required",
            "FlinkDeployment.spec.job.parallelism: expected integer, got 4",
            "FlinkDeployment.spec.job.upgradeMode: expected savepoint|last-state|stateless, got"
                + " save-point");
  }

  @Test
  void everyKeyOfFlinksConfigurationIsOneThatSomebodyReads() throws Exception {
    FlinkKeys keys = new FlinkKeys();
    List<String> problems = new ArrayList<>();
    for (Map<String, Object> deployment : ofKind(example, "FlinkDeployment")) {
      map(map(deployment.get("spec")).get("flinkConfiguration"))
          .forEach((key, value) -> keys.problem(key, value.toString()).ifPresent(problems::add));
    }
    assertThat(problems).isEmpty();
  }

  @Test
  void aMisspeltKeyOfFlinksConfigurationIsFound() throws Exception {
    FlinkKeys keys = new FlinkKeys();

    for (String misspelt :
        List.of(
            "execution.checkpointing.intervall",
            "web.submit.enabled",
            "gradflow.kafka.bootstrap.server",
            "metrics.reporter.prom.factory.clas",
            "high-availability.storage-dir")) {
      assertThat(keys.problem(misspelt, "true")).hasValue(misspelt + ": nobody reads this key");
    }
    assertThat(keys.problem("execution.checkpointing.interval", "ten"))
        .hasValueSatisfying(
            problem ->
                assertThat(problem)
                    .startsWith("execution.checkpointing.interval: 'ten' cannot be read"));
    assertThat(keys.problem("execution.checkpointing.interval", "10 s")).isEmpty();
    assertThat(keys.problem("metrics.reporter.prom.filter.includes", "*:*:*")).isEmpty();
    assertThat(keys.problem("gradflow.kafka.properties.security.protocol", "SSL")).isEmpty();
  }

  @Test
  void topicsAreThoseTheCommandCreates() {
    Map<String, Map<String, String>> created = new TreeMap<>();
    for (Topic topic : Topic.values()) {
      Map<String, String> settings = new TreeMap<>(topic.settings());
      settings.put("partitions", Integer.toString(topic.partitions()));
      created.put(topic.topicName(), settings);
    }
    Map<String, Map<String, String>> declared = new TreeMap<>();
    for (Map<String, Object> topic : ofKind(example, "KafkaTopic")) {
      Map<String, String> settings = new TreeMap<>();
      map(map(topic.get("spec")).get("config"))
          .forEach((key, value) -> settings.put(key, value.toString()));
      settings.put("partitions", map(topic.get("spec")).get("partitions").toString());
      declared.put(name(topic), settings);
    }

    assertThat(declared).isEqualTo(created);
  }

  @Test
  void usersMayDoWhatTheirPrincipalNeeds() throws Exception {
    List<String> declared =
        Kustomization.render(USERS).stream().flatMap(user -> grants(user).stream()).toList();
    List<String> needed =
        Arrays.stream(Principal.values())
            .flatMap(principal -> principal.needs().stream())
            .flatMap(KubernetesTest::grants)
            .toList();

    assertThat(declared).containsExactlyInAnyOrderElementsOf(needed);
  }

  @Test
  void flinksRestPortTakesNoCodeAndIsOffTheNetwork() {
    for (Map<String, Object> deployment : ofKind(example, "FlinkDeployment")) {
      assertThat(map(map(deployment.get("spec")).get("flinkConfiguration")))
          .containsEntry("web.submit.enable", "false")
          .doesNotContainKey("rest.port");
    }
    Map<String, Object> policy = map(ofKind(example, "NetworkPolicy").get(0).get("spec"));
    assertThat(selected(map(policy.get("podSelector"))))
        .isEqualTo(ofKind(example, "FlinkDeployment").stream().map(KubernetesTest::name).toList());
    for (Map<String, Object> rule : maps(policy.get("ingress"))) {
      Map<String, Object> from = maps(rule.get("from")).get(0);
      List<Object> ports = maps(rule.get("ports")).stream().map(port -> port.get("port")).toList();
      if (from.containsKey("podSelector")) {
        assertThat(from)
            .as("its own pods")
            .isEqualTo(Map.of("podSelector", policy.get("podSelector")));
      } else {
        Object namespace =
            map(map(from.get("namespaceSelector")).get("matchLabels"))
                .get("kubernetes.io/metadata.name");
        assertThat(ports)
            .as("ports open to %s", namespace)
            .isEqualTo(List.of(namespace.equals("flink-operator") ? 8081 : 9249));
      }
    }
  }

  @Test
  void prometheusFindsWhatTheReporterServes() {
    Map<String, Object> monitor = map(ofKind(example, "PodMonitor").get(0).get("spec"));
    assertThat(selected(map(monitor.get("selector"))))
        .isEqualTo(ofKind(example, "FlinkDeployment").stream().map(KubernetesTest::name).toList());
    Object endpoint = maps(monitor.get("podMetricsEndpoints")).get(0).get("port");
    for (Map<String, Object> deployment : ofKind(example, "FlinkDeployment")) {
      Map<String, Object> spec = map(deployment.get("spec"));
      Map<String, Object> container =
          maps(map(map(spec.get("podTemplate")).get("spec")).get("containers")).get(0);
      assertThat(container).as("what Flink calls it").containsEntry("name", "flink-main-container");
      Map<String, Object> port = maps(container.get("ports")).get(0);
      assertThat(port).containsEntry("name", endpoint);
      assertThat(map(spec.get("flinkConfiguration")))
          .containsEntry("metrics.reporter.prom.port", port.get("containerPort").toString());
    }
  }

  @Test
  void theImageIsFlinkWithTheJarThatTheJobsName() throws Exception {
    String dockerfile = Files.readString(DEPLOY.resolve("docker/Dockerfile"));
    String built = Path.of(System.getProperty("gradflow.job.jar")).getFileName().toString();
    Matcher name =
        Pattern.compile("gradflow-jobs-([0-9.]+)(-SNAPSHOT)?-flink\\.jar").matcher(built);
    assertThat(name.matches()).as(built).isTrue();

    assertThat(dockerfile)
        .contains("FROM flink:" + EnvironmentInformation.getVersion() + "-java17\n");
    for (Map<String, Object> deployment : ofKind(example, "FlinkDeployment")) {
      Map<String, Object> spec = map(deployment.get("spec"));
      assertThat(spec)
          .containsEntry("image", "registry.example.com/ml/gradflow-jobs:" + name.group(1));
      String jar = map(spec.get("job")).get("jarURI").toString().replace("local://", "");
      assertThat(dockerfile).contains("jobs/target/gradflow-jobs-*-flink.jar " + jar + "\n");
    }
  }

  // --- Fields -----------------------------------------------------------------------------------

  private static List<String> problems(Map<String, Object> resource) {
    String kind = (String) resource.get("kind");
    List<String> problems = new ArrayList<>();
    compare(kind, resource, FIELDS.get(kind), problems);
    return problems;
  }

  private static Map<String, Object> fields() {
    try (InputStream in = KubernetesTest.class.getResourceAsStream("kubernetes-fields.yaml")) {
      return Kustomization.documents(new String(in.readAllBytes(), StandardCharsets.UTF_8)).get(0);
    } catch (IOException e) {
      throw new IllegalStateException("a resource of this test cannot be read", e);
    }
  }

  /** Compares with the language that {@code kubernetes-fields.yaml} explains. */
  private static void compare(String where, Object value, Object type, List<String> problems) {
    Object expected = type.toString().startsWith("$") ? FIELDS.get(type) : type;
    if (expected instanceof Map && value instanceof Map) {
      Map<String, Object> known = new HashMap<>();
      map(expected)
          .forEach(
              (name, of) -> {
                String field = name.replace("!", "");
                known.put(field, of);
                if (name.endsWith("!") && !map(value).containsKey(field)) {
                  problems.add("%s.%s: is required".formatted(where, field));
                }
              });
      map(value)
          .forEach(
              (name, inner) -> {
                Object of = known.getOrDefault(name, known.get("*"));
                if (of == null) {
                  problems.add("%s.%s: there is no such field".formatted(where, name));
                } else {
                  compare(where + "." + name, inner, of, problems);
                }
              });
    } else if (expected instanceof List<?> item && value instanceof List<?> items) {
      items.forEach(inner -> compare(where + "[]", inner, item.get(0), problems));
    } else {
      boolean fits =
          switch (expected.toString()) {
            case "text" -> value instanceof String;
            case "integer" -> value instanceof Integer || value instanceof Long;
            case "number" -> value instanceof Number;
            case "boolean" -> value instanceof Boolean;
            default -> Arrays.asList(expected.toString().split("\\|", -1)).contains(value);
          };
      if (!fits) {
        problems.add("%s: expected %s, got %s".formatted(where, expected, value));
      }
    }
  }

  // --- Resources --------------------------------------------------------------------------------

  static List<Map<String, Object>> ofKind(List<Map<String, Object>> resources, String kind) {
    return resources.stream().filter(resource -> resource.get("kind").equals(kind)).toList();
  }

  private static Map<String, Object> deployment(String name) {
    return ofKind(example, "FlinkDeployment").stream()
        .filter(deployment -> name(deployment).equals(name))
        .findFirst()
        .orElseThrow();
  }

  static String name(Map<String, Object> resource) {
    return (String) map(resource.get("metadata")).get("name");
  }

  private static Map<String, Map<String, Object>> byName(List<Map<String, Object>> resources) {
    return resources.stream()
        .collect(
            Collectors.toMap(
                resource -> resource.get("kind") + " " + name(resource), resource -> resource));
  }

  private static Map<String, Object> copyOf(Map<String, Object> original) {
    Map<String, Object> copy = new LinkedHashMap<>();
    original.forEach(
        (name, value) -> copy.put(name, value instanceof Map ? copyOf(map(value)) : value));
    return copy;
  }

  /** The pods' values of the label {@code app}, which Flink sets to the deployment's name. */
  private static List<String> selected(Map<String, Object> selector) {
    Map<String, Object> expression = maps(selector.get("matchExpressions")).get(0);
    assertThat(expression).containsEntry("key", "app").containsEntry("operator", "In");
    return texts(expression.get("values"));
  }

  /** One line for each operation on each resource. */
  private static List<String> grants(Map<String, Object> user) {
    String principal = name(user).replace("gradflow-", "");
    List<String> grants = new ArrayList<>();
    for (Map<String, Object> acl :
        maps(map(map(user.get("spec")).get("authorization")).get("acls"))) {
      Map<String, Object> resource = map(acl.get("resource"));
      for (String operation : texts(acl.get("operations"))) {
        grants.add(
            "%s: %s %s %s%s"
                .formatted(
                    principal,
                    operation,
                    resource.get("type"),
                    resource.get("name"),
                    "prefix".equals(resource.get("patternType")) ? "*" : ""));
      }
    }
    return grants;
  }

  /** Likewise, of a sentence on what a principal needs. */
  private static Stream<String> grants(String need) {
    String[] words = need.split(" +", 2);
    String principal = words[0].replace("-job", "");
    return Arrays.stream(words[1].split("; ", -1))
        .flatMap(
            sentence -> {
              String[] parts = sentence.split(" on ", 2);
              List<String> resources =
                  parts[1].startsWith("gradient-")
                      ? Arrays.stream(parts[1].split(", ", -1)).map(t -> "topic " + t).toList()
                      : List.of(
                          parts[1]
                              .replace("groups of their own", "group gradflow-readers*")
                              .replaceFirst("groups that start with (.*)", "group $1*")
                              .replaceFirst(
                                  "transactional ids that start with (.*)", "transactionalId $1*"));
              return Arrays.stream(parts[0].split(", ", -1))
                  .flatMap(
                      operation ->
                          resources.stream()
                              .map(on -> "%s: %s %s".formatted(principal, operation, on)));
            });
  }

  /** What kubectl prints; nothing if there is none. */
  private static String kubectl(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("kubectl"));
    command.addAll(Arrays.asList(arguments));
    Process process;
    try {
      process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    } catch (IOException e) {
      return String.format(Locale.ROOT, "no kubectl: %s", e.getMessage());
    }
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return out;
  }
}
