"""The networks: Qwen3-VL, the attention and sharding they stand on, and the sampler."""
