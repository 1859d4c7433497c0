"""Charts. To add one, write a module with a class that implements `chart.ChartKind`, and list it in `registry`."""
