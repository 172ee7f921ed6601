"""CLOCS: which part of which view the encoder sees."""

import pytest
import torch
from seen import Seen, at, setting, signals

from clef_ray.errors import ConfigError
from clef_ray.methods.clocs import Clocs

TWO_LEADS = {"lead": "random", "same_lead": 0.0}


@pytest.mark.parametrize("pairs", ["cmsc", "cmsmlc"])
@pytest.mark.parametrize("samples", [8, 9])
def test_the_views_are_the_windows_halves(pairs, samples):
    encoder = Seen()
    learner = Clocs(pairs).learner(encoder, setting(**TWO_LEADS))
    z = learner(signals(3, samples), at(5, 6, 7))
    (given,) = encoder.given
    assert given.shape == (6, 1, 4)
    for n in range(3):
        assert given[n, 0].tolist() == [1000 * n + t for t in (0, 1, 2, 3)], "first half of view a"
        assert given[3 + n, 0].tolist() == [1000 * n + 500 + t for t in (4, 5, 6, 7)], "second of view b"
    assert torch.equal(z, given[:, 0, :2])
    assert (learner.parts, learner.records) == (2, 1)


def test_across_leads_the_views_are_whole():
    encoder = Seen()
    Clocs("cmlc").learner(encoder, setting(**TWO_LEADS))(signals(3), at(5, 6, 7))
    assert torch.equal(encoder.given[0], signals(3))


def test_two_leads_are_asked_for_where_they_are_needed():
    Clocs("cmsc").learner(Seen(), setting(lead="I"))
    for pairs in ("cmlc", "cmsmlc"):
        for views in ({"lead": "I"}, {"lead": "I", "same_lead": 0.0}, {"same_lead": 0.8}):
            with pytest.raises(
                ConfigError, match=rf"method.pairs {pairs}.*views.same_lead=0 are needed; given"
            ):
                Clocs(pairs).learner(Seen(), setting(**views))
    with pytest.raises(ConfigError, match=r"clocs.pairs.*cmlc, cmsc, cmsmlc"):
        Clocs("cmslc")


def test_head_sits_on_the_encoder():
    learner = Clocs(head="mlp2").learner(Seen(), setting(lead="I"))
    assert learner(signals(2), at(0, 1)).shape == (4, 128)
