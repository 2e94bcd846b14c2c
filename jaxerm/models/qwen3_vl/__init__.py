"""Qwen3-VL in Flax NNX: the same network as Hugging Face's, on static shapes."""
