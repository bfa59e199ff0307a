/** The example of the page for people who write trainers, as they would write it. */
package io.gradflow.example;
