/**
 * What the page shows, as pure logic: windows over the steps of runs, their incidents, and what a
 * client that was away has missed. Knows nothing of Kafka's clients or HTTP.
 */
package io.gradflow.dashboard.live;
