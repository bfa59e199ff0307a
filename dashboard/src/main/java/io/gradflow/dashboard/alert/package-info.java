/** Alerts as they leave the page and the forwarder. */
package io.gradflow.dashboard.alert;
