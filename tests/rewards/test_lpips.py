"""LPIPS stands on packages that are not always there: what is missing is named, and what is there is asked rightly."""

import sys
from types import ModuleType

import numpy as np
import pytest

from jaxerm.render import RenderResult
from jaxerm.rewards import Attempt
from jaxerm.rewards.lpips import Lpips


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ValueError, match=r"needs pip install 'jaxerm\[lpips\]'"):
        Lpips()
    with pytest.raises(ValueError, match="no network 'resnet'; there are alex, vgg, squeeze"):
        Lpips("resnet")


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A stand-in for the package: the mean distance of what it is given."""
    torch = pytest.importorskip("torch")
    fake = ModuleType("lpips")

    class Network(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()

        def forward(self, a, b):
            assert a.shape[1] == 3 and min(a.shape[2:]) >= 64 and a.min() >= -1 and a.max() <= 1
            return (a - b).abs().mean()

    fake.LPIPS = Network
    monkeypatch.setitem(sys.modules, "lpips", fake)
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def test_weights_are_never_downloaded(package):
    with pytest.raises(ValueError, match=r"weights of alex at .*alexnet-owt-7be5be79.pth: on a machine with a network"):
        Lpips()


def test_the_reward_is_one_minus_the_distance(package):
    package.mkdir()
    (package / "alexnet-owt-7be5be79.pth").write_bytes(b"")
    black, grey = np.zeros((16, 32, 3), np.uint8), np.full((32, 64, 3), 51, np.uint8)
    attempts = [
        Attempt("svg", black, "", code="x", render=RenderResult(image, None, 0.0, "", "")) for image in (black, grey)
    ]
    same, other = Lpips()(attempts)
    assert same.value == 1.0 and other.value == pytest.approx(1 - 51 / 127.5, abs=1e-6)
