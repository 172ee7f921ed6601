"""The reader of released checkpoints: files of the released layouts, made here, against a forward in NumPy; and everything that is refused."""

import collections
import hashlib
import pickle

import net1d_numpy
import numpy as np
import pytest
import torch

from clef_ray.datasets import LEADS
from clef_ray.errors import ConfigError, DataError, StorageError
from clef_ray.sections import Signals
from clef_ray.weights import read_published, read_weights
from clef_ray.weights.net1d import layout, size_of


def tensors(leads=1, classes=0, seed=0):
    """As torch saves them; with a classifier where there are classes."""
    found = {name: torch.from_numpy(v) for name, v in net1d_numpy.made_up("S", leads, seed).items()}
    if classes:
        found |= {"dense.weight": torch.randn(classes, 256), "dense.bias": torch.randn(classes)}
    return found


def lightning(state):
    """What Lightning writes beside the weights: the optimiser's state, the schedulers', the callbacks' and the loops'."""
    backbone = collections.OrderedDict((f"backbone.{name}", tensor) for name, tensor in state.items())
    moments = {0: {"step": torch.tensor(5.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}}
    return {
        "epoch": 99,
        "global_step": 1000,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": backbone,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 100}}}},
        "callbacks": {"EarlyStopping": {"patience": 20, "best_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}]}],
        "lr_schedulers": [{"T_0": 10, "_last_lr": [1e-4]}],
        "hparams_name": "kwargs",
        "hyper_parameters": collections.OrderedDict(temperature=0.07),
    }  # fmt: skip


def ecgfounder(state):
    """`step` and `val_auroc` are in the names of its files; such a number is NumPy's."""
    return {"step": 10000, "val_auroc": np.float64(0.92), "state_dict": state, "optimizer": {"state": {}}}


def saved(path, content, **how):
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("kind", ["clef", "ecgfounder", "ecgfounder 12"])
def test_the_encoder_is_what_the_file_says(tmp_path, kind):
    """Against the NumPy forward of the file's own tensors: names, order of blocks, shapes, no normalisation; the name of the file says nothing."""
    leads = 12 if kind.endswith("12") else 1
    state = tensors(leads, classes=0 if kind == "clef" else 150)
    path = saved(tmp_path / "clef_largel.ckpt", (lightning if kind == "clef" else ecgfounder)(state))
    found = read_published(path)
    x = np.random.default_rng(1).normal(size=(2, leads, 75)).astype(np.float32)
    plain = {name: tensor.numpy() for name, tensor in state.items()}
    with torch.inference_mode():
        np.testing.assert_allclose(found.encoder(torch.from_numpy(x)).numpy(), net1d_numpy.features(plain, x), rtol=1e-4, atol=1e-5)  # fmt: skip
    assert dict(found.spec.options) == {"size": "S", "in_leads": leads, "norm": "none", "dropout": 0.0}
    assert (found.signals, found.leads) == (Signals(500, 10, (0.67, 40)), LEADS)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    who = "CLEF" if kind == "clef" else "ECGFounder"
    assert found.source == f"{who}, size S, {leads} lead{'s' * (leads > 1)}: clef_largel.ckpt"
    assert not found.encoder.training


def test_normalisation_is_left_out_or_kept_never_silently(tmp_path):
    state = tensors()
    for name in state:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = torch.rand(state[name].shape) + 0.5
    path = saved(tmp_path / "x.ckpt", lightning(state))
    x = torch.randn(1, 1, 60)
    plain = {name: tensor.numpy() for name, tensor in state.items()}
    for norm in ("none", "bn"):
        if norm == "none":
            with pytest.warns(UserWarning, match=r"was trained \(7 batches\) and is left out"):
                found = read_published(path)
        else:
            found = read_published(path, norm="bn")
        expected = net1d_numpy.features(plain, x.numpy(), norm=norm)
        with torch.inference_mode():
            np.testing.assert_allclose(found.encoder(x).numpy(), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="norm 'ln'"):
        read_published(path, norm="ln")


@pytest.mark.parametrize(("size", "leads", "count"), [("S", 1, 257), ("M", 12, 507), ("L", 1, 957)])
def test_every_size_has_the_published_layout(size, leads, count):
    """Names and shapes from the description, on no memory; ours are those of the encoder, each once."""
    expected = net1d_numpy.layout(size, leads)
    places = layout(size, leads)
    assert {name: place.shape for name, place in places.items()} == expected
    assert len(expected) == len({place.ours for place in places.values()}) == count
    assert {name for name, p in places.items() if p.norm} == {n for n in expected if "bn" in n.rpartition(".")[0].rpartition(".")[2]}  # fmt: skip
    assert size_of(net1d_numpy.SHAPES[size][0]) == size


def test_other_ways_to_save_it(tmp_path):
    """The tensors alone; torch's format before 1.6; half precision."""
    state = tensors()
    plain = saved(tmp_path / "plain.pth", state)
    legacy = saved(tmp_path / "legacy.pth", lightning(state), _use_new_zipfile_serialization=False)
    halves = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    half = read_published(saved(tmp_path / "half.pth", halves)).encoder
    weight = state["first_conv.conv.weight"]
    for path in (plain, legacy):
        assert torch.equal(read_weights(str(path)).encoder.stem[0].weight, weight)
    assert torch.equal(half.stem[0].weight, weight.half().float())


def test_every_difference_is_listed(tmp_path):
    state = tensors()
    gone = ["first_conv.conv.bias", "stage_list.2.block_list.1.se_fc2.weight", "stage_list.5.block_list.0.bn1.running_var"]  # fmt: skip
    for name in gone:
        del state[name]
    state["stage_list.0.block_list.0.conv2.conv.weight"] = torch.zeros(16, 16, 16)
    content = lightning(state)
    content["state_dict"] |= {"queue": torch.zeros(3), "backbone_k.first_conv.conv.weight": torch.zeros(1)}
    path = saved(tmp_path / "x.ckpt", content)
    with pytest.raises(DataError) as caught:
        read_published(path)
    told = str(caught.value)
    assert f"missing (3): {', '.join(f'backbone.{name}' for name in gone)};" in told
    assert "unexpected (2): queue, backbone_k.first_conv.conv.weight;" in told
    assert "wrong shape (1): backbone.stage_list.0.block_list.0.conv2.conv.weight is [16, 16, 16], must be [16, 4, 16]" in told  # fmt: skip
    assert str(path) in told


def test_a_block_of_another_size_is_not_taken_for_this_one(tmp_path):
    """Two stages exchanged have all the names."""
    state = tensors()
    for name in list(state):
        if name.startswith("stage_list.3."):
            other = name.replace("stage_list.3.", "stage_list.2.")
            state[name], state[other] = state[other], state[name]
    with pytest.raises(DataError, match=r"wrong shape \(\d+\)") as caught:
        read_published(saved(tmp_path / "x.ckpt", lightning(state)))
    assert "missing" not in str(caught.value)


def test_values_that_are_no_numbers(tmp_path):
    state = tensors()
    state["stage_list.1.block_list.0.se_fc1.bias"][3] = float("nan")
    with pytest.raises(DataError, match=r"NaN or infinite in blocks\.1\.squeeze\.bias"):
        read_published(saved(tmp_path / "x.ckpt", lightning(state)))


class Evil:
    """Whatever a pickle calls runs."""

    def __reduce__(self):
        return print, ("code of the file has run",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"state_dict": {"conv1.weight": torch.zeros(64, 12, 7), "fc.bias": torch.zeros(5)}}, r"another network of 2 tensors, the first: conv1\.weight \[64, 12, 7\], fc\.bias \[5\]"),
        ({"state_dict": {"first_conv.conv.weight": torch.zeros(48, 1, 16)}}, r"neither .* \[48, 1, 16\]"),
        ({"state_dict": {"first_conv.conv.weight": torch.zeros(32)}}, "neither"),
        ({"encoder": {}, "run": {}}, "run of clef_ray; give the run's folder"),
        ({"epoch": 3, "model": None}, r"holds a mapping with epoch, model, and no `state_dict`"),
        ({"state_dict": {}}, "no `state_dict` of tensors"),
        ({"state_dict": {"a": 1}}, "no `state_dict` of tensors"),
        ([torch.zeros(2)], "holds a list"),
        ({"state_dict": {}, "evil": Evil()}, r"could run code.*"),
    ],
    ids=["resnet", "stem", "flat", "ours", "mapping", "empty", "numbers", "list", "code"],
)  # fmt: skip
def test_what_is_neither_is_told(tmp_path, capsys, content, told):
    with pytest.raises(DataError, match=told):
        read_published(saved(tmp_path / "x.pth", content))
    assert "has run" not in capsys.readouterr().out


def test_files_that_are_not_torchs(tmp_path, capsys):
    (tmp_path / "text.ckpt").write_text("<html>404</html>")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(Evil()))
    whole = saved(tmp_path / "whole.ckpt", lightning(tensors())).read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "empty", "pickle", "cut"):
        with pytest.raises(DataError, match=rf"{name}\.ckpt is .*torch has written"):
            read_published(tmp_path / f"{name}.ckpt")
    assert "has run" not in capsys.readouterr().out
    with pytest.raises(StorageError, match="no weights at"):
        read_published(tmp_path / "absent.ckpt")
