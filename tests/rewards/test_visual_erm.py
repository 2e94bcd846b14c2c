"""The reward model on the mesh: a pair it cannot take is that pair's fault alone."""

import numpy as np

from jaxerm.critique import CritiqueError
from jaxerm.rewards import VisualERM


def test_a_pair_that_does_not_fit_leaves_the_others_alone(micro):
    small, narrow = np.zeros((32, 32, 3), np.uint8), np.zeros((2, 900, 3), np.uint8)
    erm = VisualERM(micro, prompts="brief", max_new_tokens=8, retries=0, rows=2)
    got = erm.critiques([("svg", narrow, small), ("svg", small, small)], length=128, patches=128)
    assert all(isinstance(one, CritiqueError) for one in got)
    assert "aspect ratio" in str(got[0]) and "`errors` list" in str(got[1]), "the second was asked, an untrained model"
    [tight] = erm.critiques([("svg", small, small)], length=8, patches=128)
    assert "tokens and there is room for 8" in str(tight)
