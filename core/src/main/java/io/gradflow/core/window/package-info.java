/** Spans of steps, layer by layer. */
package io.gradflow.core.window;
