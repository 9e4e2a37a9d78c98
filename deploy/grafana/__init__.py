"""Dashboards for Grafana: what they show (`moment.py`, `programs.py`), and what writes their JSON (`build.py`)."""
