/**
 * The {@code gradflow} command.
 *
 * <p>{@link io.gradflow.cli.Gradflow} is the main; every subcommand is one class. {@link
 * io.gradflow.cli.LocalStack} is the broker, Flink and topics of this machine in this JVM; {@link
 * io.gradflow.cli.LiveView} turns what is known of a run into lines of text and {@link
 * io.gradflow.cli.LiveDisplay} keeps them on the terminal.
 *
 * <p>Standard output carries what a command was asked for and nothing else; progress, warnings and
 * errors go to standard error, the logs of the libraries to a file. Exit codes: 0 done, 1 failed, 2
 * used wrongly.
 */
package io.gradflow.cli;
