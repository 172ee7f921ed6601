"""VICReg and Barlow Twins: their heads; what the loss is of, and where batch normalisation is refused."""

import pytest
import torch
from seen import Seen, at, setting, signals
from torch import nn
from waves import make_trainer

from clef_ray.errors import ConfigError
from clef_ray.methods.barlow import Barlow
from clef_ray.methods.vicreg import Vicreg


@pytest.mark.parametrize("method", [Vicreg, Barlow])
@pytest.mark.parametrize(("norm", "layer"), [("bn", nn.BatchNorm1d), ("ln", nn.LayerNorm), ("none", None)])
def test_three_layers_of_one_width_with_two_normalised(method, norm, layer):
    learner = method(7, norm).learner(Seen(), setting())
    linear = [m for m in learner.head if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(2, 7), (7, 7), (7, 7)]
    assert linear[-1].bias is None
    kinds = [type(m) for m in learner.head]
    block = [nn.Linear, *([layer] if layer else []), nn.ReLU]
    assert kinds == [*block, *block, nn.Linear]
    assert learner(signals(3), at(0, 1, 2)).shape == (6, 7)


def test_default_is_published_but_for_its_width():
    for method in (Vicreg, Barlow):
        learner = method().learner(Seen(), setting())
        assert learner.head[0].out_features == 1024
        assert any(isinstance(m, nn.BatchNorm1d) for m in learner.head)


@pytest.mark.parametrize("method", ["vicreg", "barlow"])
def test_batch_normalisation_is_refused_where_a_batch_is_divided(method):
    settings = {"method": method, "method.width": 4}
    for divided in ({"world_size": 2}, {"micro_batch": 3}):
        with pytest.raises(ConfigError, match=r"BatchNorm1d .* would give another result than one"):
            make_trainer(settings, **divided)
        make_trainer({**settings, "method.norm": "ln"}, **divided)


@pytest.mark.parametrize("method", [Vicreg, Barlow])
def test_impossible_options_are_refused(method):
    name = method.__name__.lower()
    with pytest.raises(ConfigError, match=rf"{name}.width: 0 given"):
        method(width=0).learner(Seen(), setting())
    with pytest.raises(ConfigError, match=rf"'gn' \(in {name}.norm\).*bn, ln, none"):
        method(norm="gn").learner(Seen(), setting())


def test_both_views_pass_through_head():
    torch.manual_seed(0)
    learner = Vicreg(5, "none").learner(Seen(), setting())
    z = learner(signals(2), at(0, 1))
    torch.testing.assert_close(z, learner.head(signals(2)[:, 0, :2]))
