"""Proves that the alarms and the dashboard of template.yaml work, without AWS.

- `check` compares each metric that they read with the metrics that AWS documents and
  that the functions write.
- `rules` evaluates alarms as CloudWatch does, and `scenarios` feeds it with the lines of
  the functions: each alarm has a scenario that fires it, and one that nearly does.
- `picture` draws the dashboard.
"""
