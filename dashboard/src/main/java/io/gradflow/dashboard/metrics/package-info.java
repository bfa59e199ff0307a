/** What Prometheus reads of the page: bounded label sets, never a rank, step or layer. */
package io.gradflow.dashboard.metrics;
