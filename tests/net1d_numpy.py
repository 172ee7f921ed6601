"""Net1D in NumPy, from its description: a slow forward of a network given by its published tensor names, and such networks made up.

Source: method §2. Sums over the taps of a window, one group after the other; no padding functions, no torch.
"""

import numpy as np

#: size -> stem, bottleneck ratio, stage widths, blocks per stage, channels of a stage per group.
SHAPES = {
    "S": (32, 0.5, (32, 64, 64, 128, 128, 256), (1, 1, 2, 2, 2, 2), 8),
    "M": (64, 1.0, (64, 160, 160, 400, 400, 1024, 1024), (2, 2, 2, 3, 3, 4, 4), 16),
    "L": (128, 1.5, (128, 256, 256, 512, 512, 1024, 1024, 2048, 2048), (2, 3, 3, 4, 4, 5, 5, 6, 6), 32),
}
TAPS = 16


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swish(x):
    return x * sigmoid(x)


def layout(size, leads):
    """Name -> shape of every tensor of a published file, the normalisation that is never used and its counters included."""
    stem, ratio, widths, blocks, group_width = SHAPES[size]
    found = {"first_conv.conv.weight": (stem, leads, TAPS), "first_conv.conv.bias": (stem,)}
    found |= normalisation("first_bn", stem)
    before = stem
    for i, (width, repeats) in enumerate(zip(widths, blocks, strict=True)):
        middle, groups = int(width * ratio), width // group_width
        for j in range(repeats):
            at = f"stage_list.{i}.block_list.{j}"
            found |= normalisation(f"{at}.bn1", before)
            found |= {f"{at}.conv1.conv.weight": (middle, before, 1), f"{at}.conv1.conv.bias": (middle,)}
            found |= normalisation(f"{at}.bn2", middle)
            found |= {f"{at}.conv2.conv.weight": (middle, middle // groups, TAPS), f"{at}.conv2.conv.bias": (middle,)}  # fmt: skip
            found |= normalisation(f"{at}.bn3", middle)
            found |= {f"{at}.conv3.conv.weight": (width, middle, 1), f"{at}.conv3.conv.bias": (width,)}
            found |= {f"{at}.se_fc1.weight": (width // 2, width), f"{at}.se_fc1.bias": (width // 2,)}
            found |= {f"{at}.se_fc2.weight": (width, width // 2), f"{at}.se_fc2.bias": (width,)}
            before = width
    return found


def normalisation(at, channels):
    rows = {f"{at}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")}
    return {**rows, f"{at}.num_batches_tracked": ()}


def made_up(size="S", leads=1, seed=0):
    """Tensors of a network that says something: every weight and bias is random; the normalisation as it starts, which is not used."""
    rng, found = np.random.default_rng(seed), {}
    for name, shape in layout(size, leads).items():
        kind = name.rpartition(".")[2]
        if kind == "num_batches_tracked":
            found[name] = np.zeros((), np.int64)
        elif ".bn" in name or name.startswith("first_bn"):
            found[name] = np.full(shape, kind in ("weight", "running_var"), np.float32)
        else:
            scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
            found[name] = rng.normal(0, scale, shape).astype(np.float32)
    return found


def normalised(norm, tensors, at, x):
    """x [batch, channels, time]. gn: 8 groups; ln: over the channels of each time step; bn: by the running statistics."""
    if norm == "none":
        return x
    if norm == "bn":
        mean, var = tensors[f"{at}.running_mean"][:, None], tensors[f"{at}.running_var"][:, None]
    else:
        batch, channels, time = x.shape
        split = x.reshape(batch, 8, channels // 8, time)
        axis = (2, 3) if norm == "gn" else 1
        rows = split if norm == "gn" else x
        full = np.broadcast_to
        mean = full(rows.mean(axis, keepdims=True), rows.shape).reshape(x.shape)
        var = full(((rows - rows.mean(axis, keepdims=True)) ** 2).mean(axis, keepdims=True), rows.shape)
        var = var.reshape(x.shape)
    return (x - mean) / np.sqrt(var + 1e-5) * tensors[f"{at}.weight"][:, None] + tensors[f"{at}.bias"][:, None]  # fmt: skip


def convolved(x, weight, bias, stride, groups):
    """ceil(time / stride) windows of TAPS samples, each group of channels by itself; outside the signal there is nothing."""
    batch, channels, time = x.shape
    out = -(-time // stride)
    left = max(0, (out - 1) * stride + TAPS - time) // 2
    split_x = x.reshape(batch, groups, channels // groups, time)
    split_w = weight.reshape(groups, len(weight) // groups, channels // groups, TAPS)
    y = np.zeros((batch, groups, len(weight) // groups, out))
    for tap in range(TAPS):
        at = np.arange(out) * stride + tap - left
        inside = (at >= 0) & (at < time)
        y[..., inside] += np.einsum("goi,bgit->bgot", split_w[..., tap], split_x[..., at[inside]])
    return y.reshape(batch, len(weight), out) + bias[:, None]


def mixed(x, weight, bias):
    return np.einsum("oi,bit->bot", weight[..., 0], x) + bias[:, None]


def block(tensors, at, x, stride, groups, norm, first):
    t = {name.removeprefix(f"{at}."): v for name, v in tensors.items() if name.startswith(f"{at}.")}
    y = x if first else swish(normalised(norm, t, "bn1", x))
    y = swish(normalised(norm, t, "bn2", mixed(y, t["conv1.conv.weight"], t["conv1.conv.bias"])))
    y = convolved(y, t["conv2.conv.weight"], t["conv2.conv.bias"], stride, groups)
    y = mixed(swish(normalised(norm, t, "bn3", y)), t["conv3.conv.weight"], t["conv3.conv.bias"])
    gate = swish(y.mean(2) @ t["se_fc1.weight"].T + t["se_fc1.bias"])
    y = y * sigmoid(gate @ t["se_fc2.weight"].T + t["se_fc2.bias"])[:, :, None]
    if stride == 2:
        if x.shape[2] % 2:
            x = np.concatenate(
                [x, np.zeros_like(x[:, :, :1])], 2
            )  # zeros, not -inf: negative maxima become 0
        x = np.maximum(x[:, :, 0::2], x[:, :, 1::2])
    left = (y.shape[1] - x.shape[1]) // 2
    y[:, left : left + x.shape[1]] += x
    return y


def steps(tensors, x, size="S", norm="none"):
    """[batch, leads, time] -> the last stage's [batch, width, steps], float64."""
    tensors = {name: v.astype(np.float64) for name, v in tensors.items()}
    _, _, widths, blocks, group_width = SHAPES[size]
    y = convolved(np.asarray(x, np.float64), tensors["first_conv.conv.weight"], tensors["first_conv.conv.bias"], 2, 1)  # fmt: skip
    y = swish(normalised(norm, tensors, "first_bn", y))
    for i, (width, repeats) in enumerate(zip(widths, blocks, strict=True)):
        for j in range(repeats):
            at, stride = f"stage_list.{i}.block_list.{j}", 2 if j == 0 else 1
            y = block(tensors, at, y, stride, width // group_width, norm, first=i == j == 0)
    return y


def features(tensors, x, size="S", norm="none"):
    """[batch, width]: the mean over time."""
    return steps(tensors, x, size, norm).mean(2)
