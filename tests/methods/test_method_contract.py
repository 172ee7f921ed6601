"""What every pretraining method keeps to, by its name alone: a new file in clef_ray/methods is tested here without an edit."""

import numpy as np
import pytest
import torch
from waves import SETTINGS, encoder, gradients, make_trainer, step

from clef_ray.config import Run, override
from clef_ray.evaluate.monitor import effective_rank, spread
from clef_ray.losses import Parts
from clef_ray.registry import LOSSES, METHODS

#: What a method cannot do without here, beyond its defaults: no layers across records where a batch is divided; a queue that is full soon.
NEEDS = {
    "byol": {"method.norm": "ln"},
    "barlow": {"method.norm": "ln"},
    "moco": {"loss.queue": 16, "method.momentum": 0.9},
    "vicreg": {"method.norm": "ln"},
}

TRAINED = [name for name in METHODS.names() if METHODS.get(name).trains]

#: Weights that stand still: whatever differs between two steps comes from the steps themselves.
STILL = {"optimiser.lr_min": 0, "optimiser.lr": 0}


def settings(method, **more):
    return {"method": method, **NEEDS.get(method, {}), **more}


def few_steps(method, rank=0, world_size=1, micro_batch=None):
    """Four steps of one worker with still weights: [(loss and terms, gradients)]; the last two with a full queue where there is one."""
    trainer = make_trainer({**settings(method), **STILL}, rank, world_size, micro_batch)
    found = []
    for number in range(4):
        values = step(trainer, number)
        found.append((values.numpy(), {name: g.numpy() for name, g in gradients(trainer).items()}))
    return found


def in_pool(method):
    return few_steps(method, torch.distributed.get_rank(), 2)


def assert_same_steps(found, expected):
    for (values, gradient), (wanted, reference) in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-6)
        assert gradient.keys() == reference.keys()
        length = np.linalg.norm([np.linalg.norm(g) for g in reference.values()])
        for name, wanted_gradient in reference.items():
            assert np.linalg.norm(gradient[name] - wanted_gradient) <= 1e-5 * length, name
    assert any(np.linalg.norm(g) > 0 for g in expected[-1][1].values())


def embeddings(trainer):
    """What the encoder makes of the records of an epoch."""
    seen = []
    for batch in trainer.plan.batches(0):
        with torch.no_grad():
            shown = trainer.feed.batch(0, batch, trainer.choose)
            x_bT = (shown.raw_b2T[:, 0] - shown.baseline_b2[:, :1]) / shown.gain_b2[:, :1]
            seen.append(trainer.encoder(x_bT[:, None].float()))
    return torch.cat(seen).double().numpy()


def test_only_the_control_is_not_trained():
    assert set(METHODS.names()) - set(TRAINED) == {"random"}
    assert set(NEEDS) <= set(TRAINED)


@pytest.mark.parametrize("name", METHODS.names())
def test_says_what_it_gives_and_has_a_loss_that_takes_it(name):
    method = METHODS.get(name)
    assert method.gives in Parts.__args__
    if method.trains:
        assert LOSSES.get(method.default_loss).takes == method.gives


@pytest.mark.parametrize("name", TRAINED)
def test_the_loss_falls_within_20_steps_and_the_encoder_does_not_collapse(name):
    trainer = make_trainer(settings(name))
    start = {key: value.clone() for key, value in trainer.encoder.state_dict().items()}
    loss_EB = np.array([step(trainer, number)[0].item() for number in range(24)]).reshape(8, 3)
    # Every epoch shows the same records; in the first one a queue is still filling.
    assert loss_EB[-1].mean() < loss_EB[1].mean(), loss_EB
    assert any(not torch.equal(value, start[key]) for key, value in trainer.encoder.state_dict().items())
    z_ND = embeddings(trainer)
    assert spread(z_ND) > 0.1
    assert effective_rank(z_ND) > 2


@pytest.mark.parametrize("name", TRAINED)
def test_a_batch_in_pieces_is_the_whole(name):
    assert_same_steps(few_steps(name, micro_batch=3), few_steps(name))


@pytest.mark.parametrize("name", TRAINED)
def test_two_workers_are_one(name, gloo_pair):
    expected = few_steps(name)
    for found in gloo_pair.run(in_pool, name):
        assert_same_steps(found, expected)


@pytest.mark.parametrize("name", TRAINED)
def test_a_killed_run_resumes_and_ends_where_an_uninterrupted_one_ends(name, tmp_path):
    class KilledError(Exception):
        pass

    def kill(metrics):
        if metrics["epoch"] == 1:
            raise KilledError

    short = settings(name, **{"optimiser.epochs": 2})
    whole = make_trainer(short, folder=tmp_path / "whole")
    told = whole.fit()
    with pytest.raises(KilledError):
        make_trainer(short, folder=tmp_path / "killed", listen=kill).fit()
    resumed = make_trainer(short, folder=tmp_path / "killed")
    assert [epoch["loss"] for epoch in resumed.fit()] == [epoch["loss"] for epoch in told]
    one, other = whole.learner.state_dict(), resumed.learner.state_dict()
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[key])), f"{key}: bitwise"


@pytest.mark.parametrize("name", TRAINED)
def test_in_bfloat16_it_trains_alike_and_weights_stay_in_full_precision(name):
    losses = []
    for precision in ("fp32", "bf16"):
        trainer = make_trainer(settings(name, **{"optimiser.precision": precision}))
        losses.append([step(trainer, number)[0].item() for number in range(4)])
        assert {p.dtype for p in trainer.learner.parameters()} == {torch.float32}
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.1, atol=0.02)


@pytest.mark.parametrize("name", TRAINED)
def test_the_learner_starts_from_the_encoder_that_it_is_given_and_keeps_all_state(name):
    """One forward pass changes nothing that is not in the checkpoint, and returns so many parts of a row per subject."""
    trainer = make_trainer(settings(name))
    learner = trainer.learner
    first, made = dict(trainer.encoder.named_parameters()), dict(encoder().named_parameters())
    assert all(torch.equal(first[key], made[key]) for key in made)
    assert override(Run(), {**SETTINGS, **settings(name)}).canonical().method.name == name
    batch = trainer.plan.batches(0)[0]
    z_bD = trainer._embed(0, trainer.feed.batch(0, batch, trainer.choose), slice(None))
    assert len(z_bD) == learner.parts * len(batch) // learner.records
    assert z_bD.dtype == torch.float32
    if METHODS.get(name).default_loss == "own":
        assert z_bD.shape[1] == 1
