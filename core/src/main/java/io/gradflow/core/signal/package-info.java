/**
 * What can be read off a gradient besides its size: direction, distribution, noise, clipping, depth
 * and saturation.
 *
 * <p>Formulas over plain numbers and arrays, and the small states that some of them need. They know
 * neither shards nor steps. What cannot be known is NaN, never zero; a state leaves what it cannot
 * learn from as it is.
 */
package io.gradflow.core.signal;
