"""What the figures in README come from; `python -m benchmarks` prints them."""
