"""Make reports: read tracked runs, and write a folder with a page, tables and charts.

The layers, each of which imports only those above it (see `tests/report/test_layers.py`):

    number_format, records         numbers as text; the protocol of a tracked run, runs grouped by task
    run_filter, question           runs that are compared; metric, direction and baseline
    arms, trials, statistics/      runs of one strategy on one task; trials of tuning; intervals, tests, power
    findings/                      leaderboards, verdicts, caveats, headline: all results, as data
    folder                         the folder of a report
    charts/                        a module for each kind of chart, listed in `charts/drawing.py`
    render/                        the page, the terminal, Markdown and CSV files
    make                           the function that makes a report

Records come from `reglab.tracking`; the report depends on neither studies nor training.
"""
