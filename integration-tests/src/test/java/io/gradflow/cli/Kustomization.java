package io.gradflow.cli;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Renders a folder as {@code kubectl kustomize} does, of whose features it has those that {@code
 * deploy/k8s} uses; any other is refused. So the manifests can be tested where there is no kubectl;
 * a test compares the two where there is one.
 */
final class Kustomization {
  private static final ObjectReader YAML =
      new YAMLMapper()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .readerFor(new TypeReference<Map<String, Object>>() {});
  private static final Set<String> FEATURES =
      Set.of(
          "apiVersion",
          "kind",
          "namespace",
          "resources",
          "labels",
          "patches",
          "images",
          "configurations");

  private final List<Map<String, Object>> resources = new ArrayList<>();
  private final List<Map<String, Object>> imageFields = new ArrayList<>();

  private Kustomization(Path folder) throws IOException {
    Map<String, Object> said = documents(folder.resolve("kustomization.yaml")).get(0);
    if (!FEATURES.containsAll(said.keySet())) {
      throw new AssertionError(
          "%s: expected features of %s, got %s".formatted(folder, FEATURES, said.keySet()));
    }
    for (String path : texts(said.get("resources"))) {
      Path resource = folder.resolve(path);
      if (Files.isDirectory(resource)) {
        Kustomization base = new Kustomization(resource);
        resources.addAll(base.resources);
        imageFields.addAll(base.imageFields);
      } else {
        resources.addAll(documents(resource));
      }
    }
    for (String path : texts(said.get("configurations"))) {
      imageFields.addAll(maps(documents(folder.resolve(path)).get(0).get("images")));
    }
    for (Map<String, Object> patch : maps(said.get("patches"))) {
      Map<String, Object> content = documents(folder.resolve((String) patch.get("path"))).get(0);
      content.remove("metadata"); // Whom it is for is said by the target.
      resources.stream()
          .filter(resource -> resource.get("kind").equals(map(patch.get("target")).get("kind")))
          .forEach(resource -> merge(resource, content));
    }
    if (said.get("namespace") instanceof String namespace) {
      resources.forEach(resource -> move(resource, namespace));
    }
    for (Map<String, Object> labels : maps(said.get("labels"))) {
      resources.forEach(
          resource ->
              merge(resource, Map.of("metadata", Map.of("labels", map(labels.get("pairs"))))));
    }
    for (Map<String, Object> image : maps(said.get("images"))) {
      resources.forEach(resource -> rename(resource, image));
    }
  }

  /** The resources, in the order in which they are listed. */
  static List<Map<String, Object>> render(Path folder) throws IOException {
    return new Kustomization(folder).resources;
  }

  /** The documents of a YAML file. */
  static List<Map<String, Object>> documents(Path file) throws IOException {
    return YAML.<Map<String, Object>>readValues(file.toFile()).readAll();
  }

  /** The documents of a YAML text. */
  static List<Map<String, Object>> documents(String text) throws IOException {
    return YAML.<Map<String, Object>>readValues(text).readAll();
  }

  /** Maps are merged, everything else is replaced: all that is known of a custom resource. */
  private static void merge(Map<String, Object> into, Map<String, Object> patch) {
    patch.forEach(
        (name, value) -> {
          if (value instanceof Map) {
            merge(map(into.computeIfAbsent(name, absent -> new LinkedHashMap<>())), map(value));
          } else {
            into.put(name, value);
          }
        });
  }

  private static void move(Map<String, Object> resource, String namespace) {
    map(resource.get("metadata")).put("namespace", namespace);
    for (Map<String, Object> subject : maps(resource.get("subjects"))) {
      subject.put("namespace", namespace);
    }
  }

  private void rename(Map<String, Object> resource, Map<String, Object> image) {
    for (Map<String, Object> field : imageFields) {
      String[] path = ((String) field.get("path")).split("/", -1);
      if (!field.get("kind").equals(resource.get("kind"))) {
        continue;
      }
      Map<String, Object> holder = resource;
      for (int i = 0; i < path.length - 1; i++) {
        holder = map(holder.get(path[i]));
      }
      holder.computeIfPresent(
          path[path.length - 1],
          (last, name) ->
              name.equals(image.get("name"))
                  ? image.get("newName") + ":" + image.get("newTag")
                  : name);
    }
  }

  /** A value that is known to be a map. */
  @SuppressWarnings("unchecked")
  static Map<String, Object> map(Object value) {
    return (Map<String, Object>) value;
  }

  /** A value that is known to be a list of maps; of none if it is absent. */
  @SuppressWarnings("unchecked")
  static List<Map<String, Object>> maps(Object value) {
    return value == null ? List.of() : (List<Map<String, Object>>) value;
  }

  /** A value that is known to be a list of texts; of none if it is absent. */
  @SuppressWarnings("unchecked")
  static List<String> texts(Object value) {
    return value == null ? List.of() : (List<String>) value;
  }
}
