"""From real material to batches: sources, corruption with a ledger, pairs, examples, the Grain pipeline."""
