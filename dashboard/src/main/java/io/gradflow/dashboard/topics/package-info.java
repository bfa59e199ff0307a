/** The page's side of Kafka: follows the output topics, reads back from them, writes requests. */
package io.gradflow.dashboard.topics;
