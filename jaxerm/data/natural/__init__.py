"""Natural inference: what is wrong with an attempt nobody broke on purpose, found by comparing the two programs."""
