/** Findings folded into one cause, and what is published of it. */
package io.gradflow.core.incident;
