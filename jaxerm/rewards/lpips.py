"""The reward `lpips`: perceptual likeness by the features of AlexNet, where PyTorch and the weights are installed."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.pixel import resized
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, scored

_BACKBONES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
"""Networks, and torchvision's file of what each learned on ImageNet."""


class Lpips(Reward):
    """r = 1 - LPIPS, at least 0 (Zhang et al., 2018, arXiv 1801.03924, v0.1), by the authors' own package.

    The package carries the weights of its linear layers; those of the network below them are torchvision's, which has
    to find them in PyTorch's hub folder. Nothing is downloaded here. Pictures with a side below 64 pixels are enlarged:
    the networks take none that are smaller.

    Args:
      net: ``alex``, ``vgg`` or ``squeeze``.

    Raises:
      ValueError: no such network, or something is not installed; says what and how to get it.
    """

    name = "lpips"

    def __init__(self, net: str = "alex"):
        if net not in _BACKBONES:
            raise ValueError(f"lpips: no network {net!r}; there are {', '.join(_BACKBONES)}")
        try:
            import lpips
            import torch
            import torchvision  # noqa: F401
        except ImportError as error:
            raise ValueError(f"reward 'lpips' needs pip install 'jaxerm[lpips]' ({error})") from None
        weights = Path(torch.hub.get_dir()) / "checkpoints" / _BACKBONES[net]
        if not weights.is_file():
            raise ValueError(
                f"reward 'lpips' needs torchvision's weights of {net} at {weights}: on a machine with a network, "
                f"python -c \"import lpips; lpips.LPIPS(net='{net}')\" puts them there"
            )
        self._torch = torch
        self._distance = lpips.LPIPS(net=net, verbose=False).eval()
        self._lock = threading.Lock()

    def key(self, attempt: Attempt) -> Hashable:
        return attempt.pair

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        with self._lock, self._torch.no_grad():
            return [attempt.unrendered or self._one(attempt) for attempt in attempts]

    def _one(self, attempt: Attempt) -> RewardResult:
        a, b = (self._tensor(x) for x in (attempt.reference, resized(attempt.image, attempt.reference)))
        return scored(max(0.0, 1.0 - float(self._distance(a, b))))

    def _tensor(self, image: np.ndarray):
        """uint8[H, W, 3] -> float32[1, 3, H, W] from -1 to 1."""
        tensor = self._torch.tensor(image).permute(2, 0, 1)[None] / 127.5 - 1
        small = min(tensor.shape[2:])
        if small >= 64:
            return tensor
        return self._torch.nn.functional.interpolate(tensor, scale_factor=64 / small, mode="bilinear")
