package io.gradflow.cli;

import io.gradflow.dashboard.Dashboard;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.dashboard.web.DashboardOptions;
import io.gradflow.dashboard.web.DashboardOptions.Limits;
import io.gradflow.dashboard.web.DashboardOptions.Writes;
import io.gradflow.dashboard.web.DemoControl;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The page's server in this JVM. */
final class LocalPage {
  private LocalPage() {}

  /**
   * Starts the page of a local stack, for this machine alone, which may write.
   *
   * @param port a free one of the loopback interface
   * @param demo what the page steers; empty for nothing
   */
  static Dashboard start(String bootstrapServers, int port, Optional<DemoControl> demo) {
    return start(
        new DashboardOptions(
            bootstrapServers,
            Map.of(),
            Optional.empty(),
            new InetSocketAddress(InetAddress.getLoopbackAddress(), port),
            Set.of(),
            Optional.empty(),
            Optional.empty(),
            Writes.ALLOWED,
            "",
            PageMetrics.OfRuns.LATEST,
            Limits.USUAL,
            demo));
  }

  /**
   * Starts a page.
   *
   * @throws CommandFailed if it cannot be served
   */
  static Dashboard start(DashboardOptions options) {
    try {
      return Dashboard.start(options);
    } catch (IOException | IllegalArgumentException e) {
      throw new CommandFailed(e.getMessage(), e);
    }
  }
}
