"""The experiments that hold the three claims up; see docs/results for what they found."""
