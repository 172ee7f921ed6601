"""The encoder as it is exported: z-score included, and without arithmetic on the signal's length where that can be avoided."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.encoders.clef import Clef

#: Keeps a constant lead from being divided by 0, as augment/filters.py does (method §3).
_LEAST_STD = 1e-8


class Deployed(nn.Module):
    """[batch, leads, samples], band-passed, in any linear unit -> embeddings [batch, dim]."""

    def __init__(self, encoder: nn.Module) -> None:
        """encoder: left as it is, a copy is taken."""
        super().__init__()
        copied = deepcopy(encoder).cpu().eval()
        self.encoder = _without_lengths(copied) if isinstance(copied, Clef) else copied
        self.requires_grad_(False)

    def forward(self, signal: Tensor) -> Tensor:
        centred = signal - signal.mean(-1, keepdim=True)
        z: Tensor = self.encoder(centred / (centred.square().mean(-1, keepdim=True).sqrt() + _LEAST_STD))
        return z


def _without_lengths(encoder: Clef) -> Clef:
    """CLEF pads by amounts that depend on the length; as expressions of an unknown length, eleven deep, they take torch.export hours."""
    encoder.stem[0] = _conv(encoder.stem[0])
    for number, block in enumerate(encoder.blocks):
        encoder.blocks[number] = _Block(block)
    return encoder


def _conv(same: nn.Module) -> nn.Conv1d:
    """A convolution of even kernel k and stride 1 or 2 with ceil(T / stride) outputs needs k/2 - 1 zeros on the left, and on the right k/2 or one
    fewer. With one more tap, a leading 0, it is the same with k/2 on both sides, whatever T is.
    """
    assert isinstance(same, nn.Conv1d), "CLEF's stem and middle layers are convolutions"
    kernel, stride = same.kernel_size[0], same.stride[0]
    assert kernel % 2 == 0, "an odd kernel needs no additional tap"
    assert stride in (1, 2), "the zeros on the left would be others"
    with torch.random.fork_rng(devices=[]):
        conv = nn.Conv1d(
            same.in_channels, same.out_channels, kernel + 1, stride, padding=kernel // 2, groups=same.groups
        )
    conv.load_state_dict({**same.state_dict(), "weight": functional.pad(same.weight.detach(), (1, 0))})
    return conv


class _Block(nn.Module):
    """A block of CLEF with the same parts."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.block.conv2 = _conv(block.conv2)  # type: ignore[arg-type]

    def forward(self, x_BCT: Tensor) -> Tensor:
        b = self.block
        y_BCT: Tensor = b.conv1(x_BCT if b.first else b.before1(x_BCT))  # type: ignore[operator]
        y_BCT = b.conv3(b.before3(b.conv2(b.before2(y_BCT))))  # type: ignore[operator]
        gate_BC = torch.sigmoid(b.excite(functional.silu(b.squeeze(y_BCT.mean(-1)))))  # type: ignore[operator]
        y_BCT = y_BCT * gate_BC.unsqueeze(-1)
        if b.stride == 2:
            # One zero more at the end is not looked at where the length is even; of both pools only the one for images keeps the length unknown.
            padded_BC1T = functional.pad(x_BCT, (0, 1)).unsqueeze(2)
            x_BCT = functional.max_pool2d(padded_BC1T, (1, 2)).squeeze(2)
        first, channels = int(b.grown) // 2, x_BCT.shape[1]  # type: ignore[arg-type]
        if b.grown == 0:
            return y_BCT + x_BCT
        # Padding channels with zeros and adding is the same, but onnxscript 0.7 moves such a padding into a convolution, which is wrong.
        parts = y_BCT[:, :first], y_BCT[:, first : first + channels] + x_BCT, y_BCT[:, first + channels :]
        return torch.cat(parts, dim=1)
