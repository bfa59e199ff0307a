package io.gradflow.core.window;

import io.gradflow.core.window.WindowSignals.Link;

/**
 * What one layer goes with; null where there is no link.
 *
 * @param partner index of the other layer, -1 without
 */
record LayerLinks(Link loss, Link learningRate, int partner, Link partnerLink) {
  static final LayerLinks NONE = new LayerLinks(null, null, -1, null);
}
