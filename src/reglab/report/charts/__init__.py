"""Charts. To add one, write a module that registers a `chart.ChartKind`, and import it in `drawing`."""
