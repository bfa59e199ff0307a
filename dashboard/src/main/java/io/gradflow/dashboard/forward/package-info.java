/** Forwards the alerts of {@code gradient-alerts} to Alertmanagers and webhooks. */
package io.gradflow.dashboard.forward;
