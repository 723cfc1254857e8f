"""The measures, one module each: `run(lab, repeats)` returns its Result."""
