"""The report: pages, figures and downloads of a run, published as a static site."""
