/**
 * The operators of NormJob around core's machines: they load state, call, write back, and decide
 * nothing.
 */
package io.gradflow.operators.norm;
