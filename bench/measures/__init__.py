"""The measures, one module each: `run(lab, repeats)` gives its Result."""
