"""The results of a report as data and sentences; `findings.compute_findings` puts them together."""
