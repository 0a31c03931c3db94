"""The benchmarks behind `make bench`: every measured thing in a fresh process, beside its baseline, in one run."""
