"""The training programs: SFT and GRPO, and what both stand on."""
