/** What people and other tools see of the output topics: a live page, metrics, forwarded alerts. */
package io.gradflow.dashboard;
