/** The page's HTTP: files, JSON, streams of events, and who may ask for them. */
package io.gradflow.dashboard.web;
