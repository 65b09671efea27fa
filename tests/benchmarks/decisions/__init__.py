"""The bench of decisions: what Kasmina decides by default, against what could have been had.

`tasks.py` lists the tasks and says which are held out, `contestants.py` what runs on each, `run.py` and `references.py`
run it, `pool.py` in processes of its own. Each result is one JSON line of a file (`lines.py`), and is never computed
twice. `figures.py` makes numbers of the lines, `shown.py` what must be shown of them, `report.py` tables. From the
root of the repository:

    nox -s decisions -- --quick
    nox -s decisions -- --contestants default never --variant slow learning_rate=.005
    nox -s decisions -- --all --jobs 2 --markdown tables.md
    nox -s decisions -- --show --out runs/decisions

or, in an environment that has everything, `PYTHONPATH=tests/benchmarks python -m decisions …`.
"""
