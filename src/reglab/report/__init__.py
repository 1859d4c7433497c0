"""Reports: tracked runs in, a folder with a page, tables and charts out.

The layers, each of which imports only those above it (see `tests/report/test_layers.py`):

    number_format, records                    numbers as text; the protocol of a tracked run
    run_filter, tasks, question, study_record runs that are compared; the comparison; the definition of a study
    arms, trials                              runs of one strategy on one task, selection of strengths; trials of tuning
    pairing, statistics/                      overlap of splits; intervals, tests, power, tuning curves
    findings/                                 leaderboards, verdicts, caveats, headline: all results, as data
    folder                                    the folder of a report
    charts/                                   a module for each kind of chart, listed in `charts/registry.py`
    render/                                   the page, the terminal, Markdown and CSV files
    make                                      the function that makes a report

Records come from `reglab.tracking`; the report knows neither studies nor training.
"""
