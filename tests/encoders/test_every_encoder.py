"""What training, evaluation and the methods rely on, of every encoder there is: a new file of encoders/ is tested without an edit here.

Sizes that a test should not compute are only built on the meta device, which holds no numbers.
"""

import inspect
from copy import deepcopy
from functools import cache
from typing import Literal, get_args, get_origin

import pytest
import torch
from torch import nn

from clef_ray.errors import ConfigError
from clef_ray.registry import ENCODERS

NAMES = ENCODERS.names()
#: Lengths in samples: the shortest, shorter than a kernel, shorter than a patch, 2.5 s and 10 s at 100 Hz.
LENGTHS = (1, 2, 7, 250, 1000)
#: From tokens [B, N, D] to features: what an encoder may do. `forward` says in its docstring which.
POOLINGS = {
    ("mean",): lambda y: y.mean(1),
    ("mean", "max"): lambda y: torch.cat([y.mean(1), y.amax(1)], 1),
    ("mean", "max", "last"): lambda y: torch.cat([y.mean(1), y.amax(1), y[:, -1]], 1),
}
parametrised = pytest.mark.parametrize("name", NAMES)


pytestmark = pytest.mark.usefixtures("one_thread")


def alternatives(name):
    """{option: its allowed values} for options with a list of allowed values."""
    schema = ENCODERS.schema(name)
    return {key: get_args(p.annotation) for key, p in schema.items() if get_origin(p.annotation) is Literal}


def smallest(name):
    """The options of the smallest network of this name: sizes are declared from small to large."""
    return {key: values[0] for key, values in alternatives(name).items() if key == "size"}


def build(name, in_leads=1, seed=0, **options):
    torch.manual_seed(seed)
    given = smallest(name) | {"in_leads": in_leads} | options
    return ENCODERS.get(name)(**ENCODERS.options(name, given))


@cache
def built(name, in_leads=1):
    """One that tests share and leave as it is."""
    return build(name, in_leads).eval()


def signals(records, leads, samples, seed=0, **kind):
    return torch.randn(records, leads, samples, generator=torch.Generator().manual_seed(seed), **kind)


@parametrised
def test_options(name):
    """All options are annotated and have a default; one lead is the default."""
    schema = ENCODERS.schema(name)
    assert (schema["in_leads"].annotation, schema["in_leads"].default) == (int, 1)
    for key, parameter in schema.items():
        assert parameter.default is not inspect.Parameter.empty, key
        assert parameter.annotation is not inspect.Parameter.empty, key
        ENCODERS.options(name, {key: parameter.default})
    for wrong in [("in_leads", 0), *((key, "nonsense") for key in alternatives(name))]:
        with pytest.raises(ConfigError, match=f"{wrong[0]}.*{name}|{name}.*{wrong[0]}"):
            ENCODERS.get(name)(**dict([wrong]))


@parametrised
def test_every_alternative_is_built_without_memory(name):
    """On the meta device, at one lead and twelve: `dim` is said, nothing looks at a number, all weights are float32."""
    for key, values in ({"in_leads": (12,)} | alternatives(name)).items():
        for value in values:
            with torch.device("meta"):
                encoder = ENCODERS.get(name)(**{key: value})
            assert isinstance(encoder, nn.Module)
            assert isinstance(encoder.dim, int)
            assert encoder.dim > 0
            assert all(p.is_meta and p.dtype == torch.float32 for p in encoder.parameters())


@pytest.mark.parametrize(("leads", "lengths"), [(1, LENGTHS), (12, LENGTHS[:3])])
@parametrised
def test_any_length(name, leads, lengths):
    encoder, fewer = built(name, leads), 1
    for samples in lengths:
        x_BCT = signals(2 if samples < 100 else 1, leads, samples)
        with torch.no_grad():
            z_BD, y_BND = encoder(x_BCT), encoder.tokens(x_BCT)
        assert z_BD.shape == (len(x_BCT), encoder.dim)
        assert torch.isfinite(z_BD).all()
        assert (y_BND.ndim, len(y_BND)) == (3, len(x_BCT))
        assert fewer <= y_BND.shape[1] <= samples
        fewer = y_BND.shape[1]
    assert fewer > 1 or samples < 100


@parametrised
def test_forward_pools_the_tokens_as_it_says(name):
    encoder = built(name)
    x_BCT = signals(3, 1, 203)
    with torch.no_grad():
        z_BD, y_BND = encoder(x_BCT), encoder.tokens(x_BCT)
        after = [
            nn.Identity(),
            *([encoder.norm] if isinstance(getattr(encoder, "norm", None), nn.Module) else []),
        ]
        matching = [
            words
            for words, pool in POOLINGS.items()
            for normalise in after
            if (z := pool(y_BND)).shape == z_BD.shape
            and torch.allclose(normalise(z), z_BD, rtol=1e-4, atol=1e-5)
        ]
    assert matching, "forward is no pooling of tokens that this test knows"
    said = encoder.forward.__doc__
    assert all(word in said for word in matching[0])


@parametrised
def test_weights_are_seeded_and_come_back(name):
    """One seed gives one encoder; the state loads strictly, and nothing that forward needs is missing from it."""
    encoder, x_BCT = built(name), signals(3, 1, 90)
    kept_BCT = x_BCT.clone()
    with torch.no_grad():
        z_BD = encoder(x_BCT)
        assert torch.equal(encoder(x_BCT), z_BD)
        assert torch.equal(x_BCT, kept_BCT), "the input is left as it is"
        assert torch.equal(build(name).eval()(x_BCT), z_BD)
        other = build(name, seed=1).eval()
        assert not torch.allclose(other(x_BCT), z_BD)
        other.load_state_dict(encoder.state_dict(), strict=True)
        assert torch.equal(other(x_BCT), z_BD)


@parametrised
def test_records_are_independent_in_evaluation(name):
    encoder, x_BCT = built(name), signals(4, 1, 203)
    changed_BCT = x_BCT.clone()
    changed_BCT[1:] = 5 * changed_BCT[1:] + 1
    with torch.no_grad():
        torch.testing.assert_close(encoder(x_BCT)[:1], encoder(x_BCT[:1]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x_BCT)[:1], encoder(changed_BCT)[:1], rtol=1e-4, atol=1e-5)


@parametrised
def test_all_leads_count(name):
    x_BCT = signals(1, 12, 90).repeat(13, 1, 1)
    for lead in range(12):
        x_BCT[lead + 1, lead] = 0
    with torch.no_grad():
        z_BD = built(name, 12)(x_BCT)
    assert ((z_BD[1:] - z_BD[0]).norm(dim=1) > 1e-3 * z_BD[0].norm()).all()


@parametrised
def test_gradients_in_float64(name):
    """Every weight that is to learn gets a finite one, and so does the signal, in the encoder's own precision."""
    encoder = deepcopy(built(name)).double().train()
    x_BCT = signals(3, 1, 90, dtype=torch.float64).requires_grad_()
    z_BD = encoder(x_BCT)
    assert z_BD.dtype == torch.float64
    (z_BD * signals(1, 1, encoder.dim, dtype=torch.float64)[0]).sum().backward()
    assert x_BCT.grad.any()
    for key, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
        assert parameter.grad is None or parameter.grad.isfinite().all(), key


@parametrised
def test_mixed_precision(name):
    encoder, x_BCT = built(name), signals(2, 1, 203)
    with torch.no_grad():
        z_BD = encoder(x_BCT)
        with torch.autocast("cpu", torch.bfloat16):
            low_BD = encoder(x_BCT).float()
    assert torch.nn.functional.cosine_similarity(low_BD, z_BD).min() > 0.99
