"""NCSN++ and DDPM in numpy and float64: what the networks of the library are held against.

Written from the description of the published networks, one formula after the other, over the flat
list of their layers: no layer of the library is used, only the names of its parameters. The test
of the oracle itself is that it gives the published implementation's float64 outputs.
"""

import functools
import itertools

import numpy as np
from scipy.signal import convolve

ACTIVATIONS = {
    "swish": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "relu": lambda x: np.maximum(x, 0),
    "lrelu": lambda x: np.maximum(x, 0.2 * x),
}


def upfirdn(x, kernel, up=1, down=1, before=0, after=0):
    """A zero behind every pixel if ``up`` is 2, padding or cropping, convolution, decimation."""
    batch, *sizes, channels = x.shape
    spread = np.zeros((batch, *(up * size for size in sizes), channels))
    spread[every(x, up)] = x
    padded = pad(spread, max(before, 0), max(after, 0))
    kept = slice(max(-before, 0), -max(-after, 0) or None)
    padded = padded[(slice(None), *[kept] * len(sizes))]
    planes = [
        [
            convolve(image, kernel, mode="valid", method="direct")
            for image in np.moveaxis(of_one, -1, 0)
        ]
        for of_one in padded
    ]
    return np.moveaxis(np.stack(planes), 1, -1)[every(x, down)]


def every(x, step):
    """Every ``step``-th pixel on every axis."""
    return (slice(None), *[slice(None, None, step)] * (x.ndim - 2))


def outer(taps, x):
    kernel = functools.reduce(np.multiply.outer, [np.float64(taps)] * (x.ndim - 2))
    return kernel / kernel.sum()


def downsample(x, taps):
    if taps is None:
        corners = itertools.product((0, 1), repeat=x.ndim - 2)
        parts = [x[(slice(None), *(slice(i, None, 2) for i in corner))] for corner in corners]
        return sum(parts) / len(parts)
    p = len(taps) - 2
    return upfirdn(x, outer(taps, x), down=2, before=(p + 1) // 2, after=p // 2)


def upsample(x, taps):
    axes = range(1, x.ndim - 1)
    if taps is None:
        return functools.reduce(lambda y, axis: y.repeat(2, axis=axis), axes, x)
    p = len(taps) - 2
    gain = 2 ** len(axes)
    return upfirdn(x, gain * outer(taps, x), up=2, before=(p + 1) // 2 + 1, after=p // 2)


def correlate(x, kernel, stride=1):
    """Without padding."""
    shifts = itertools.product(range(3), repeat=x.ndim - 2)
    sizes = [size - 2 for size in x.shape[1:-1]]
    shifted = [
        x[(slice(None), *(slice(i, i + size) for i, size in zip(shift, sizes, strict=True)))]
        @ kernel[shift]
        for shift in shifts
    ]
    return sum(shifted)[every(x, stride)]


def pad(x, before, after):
    return np.pad(x, [(0, 0), *[(before, after)] * (x.ndim - 2), (0, 0)])


def convolution(x, layer):
    return correlate(pad(x, 1, 1), layer["kernel"]) + layer["bias"]


def convolve_downsample(x, layer, taps, before=0):
    if taps is None:
        return correlate(pad(x, before, 1), layer["kernel"], stride=2) + layer["bias"]
    p = len(taps) - 2 + 2
    x = upfirdn(x, outer(taps, x), before=(p + 1) // 2, after=p // 2)
    return correlate(x, layer["kernel"], stride=2) + layer["bias"]


def upsample_convolve(x, layer, taps):
    if taps is None:
        return convolution(upsample(x, None), layer)
    batch, *sizes, channels = x.shape
    spread = np.zeros((batch, *(2 * size - 1 for size in sizes), channels))
    spread[every(x, 2)] = x
    p = len(taps) - 2 - 2
    full = correlate(pad(spread, 2, 2), layer["kernel"])
    kernel = 2 ** len(sizes) * outer(taps, x)
    return upfirdn(full, kernel, before=(p + 1) // 2 + 1, after=p // 2 + 1) + layer["bias"]


def product(x, layer):
    return x @ layer["kernel"] + layer["bias"]


def group_norm(x, layer, groups, epsilon=1e-6):
    batch, channels = len(x), x.shape[-1]
    groups = groups or min(channels // 4, 32)
    grouped = x.reshape(batch, -1, groups, channels // groups)
    mean = grouped.mean(axis=(1, 3), keepdims=True)
    deviation = np.sqrt(grouped.var(axis=(1, 3), keepdims=True) + epsilon)
    return ((grouped - mean) / deviation).reshape(x.shape) * layer["scale"] + layer["bias"]


class UNet:
    """A network of the settings ``spec`` with the weights ``params``: NCSN++, or DDPM."""

    def __init__(self, spec, params, ddpm):
        self.spec, self.params, self.ddpm = spec, params, ddpm
        self.counts = {}
        self.act = ACTIVATIONS[spec.activation]
        self.groups = 32 if ddpm else None
        self.rescale = not ddpm and spec.skip_rescale
        self.biggan = not ddpm and spec.block == "biggan"
        self.taps = None if ddpm else spec.resampling_filter
        self.fourier = not ddpm and spec.embedding == "fourier"
        self.epsilon = spec.norm_epsilon if ddpm else 1e-6
        self.inward = "none" if ddpm else spec.progressive_input
        self.outward = "none" if ddpm else spec.progressive_output

    def next(self, kind):
        """The next layer of its kind: the names count calls."""
        count = self.counts[kind] = self.counts.get(kind, -1) + 1
        return self.params[f"{kind}_{count}"]

    def add(self, x, h):
        return (x + h) / np.sqrt(2) if self.rescale else x + h

    def embed(self, time):
        if self.fourier:
            angle = 2 * np.pi * np.outer(time, self.next("GaussianFourierFeatures")["W"])
        else:
            half = self.spec.channels // 2
            period = self.spec.max_period if self.ddpm else 10_000
            angle = np.outer(time, np.exp(-np.arange(half) * np.log(period) / (half - 1)))
        embedded = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        if not self.spec.conditional:
            return None
        embedded = np.pad(embedded, [(0, 0), (0, 0 if self.fourier else self.spec.channels % 2)])
        hidden = self.act(product(embedded, self.next("Dense")))
        return product(hidden, self.next("Dense"))

    def block(self, x, embedding, resample=None):
        layer = self.next("ResidualBlock")
        h = self.act(group_norm(x, layer["GroupNorm_0"], self.groups, self.epsilon))
        if resample is not None:
            h, x = resample(h, self.taps), resample(x, self.taps)
        h = convolution(h, layer["Conv_0"])
        if embedding is not None:
            time = product(self.act(embedding), layer["time"])
            h = h + time.reshape(len(x), *[1] * (x.ndim - 2), -1)
        h = self.act(group_norm(h, layer["GroupNorm_1"], self.groups, self.epsilon))
        h = convolution(h, layer["Conv_1"])
        return self.add(product(x, layer["shortcut"]) if "shortcut" in layer else x, h)

    def attention(self, x):
        layer = self.next("AttentionBlock")
        batch, channels = len(x), x.shape[-1]
        h = group_norm(x, layer["GroupNorm_0"], self.groups, self.epsilon).reshape(
            batch, -1, channels
        )
        query, key, value = (product(h, layer[name]) for name in ("query", "key", "value"))
        width = channels if not self.ddpm else self.spec.head_channels or channels
        heads = []
        for start in range(0, channels, width):
            q, k, v = (array[:, :, start : start + width] for array in (query, key, value))
            logits = q @ k.transpose(0, 2, 1) / np.sqrt(width)
            weights = np.exp(logits - logits.max(axis=2, keepdims=True))
            heads.append(weights / weights.sum(axis=2, keepdims=True) @ v)
        h = np.concatenate(heads, axis=2)
        return self.add(x, product(h, layer["output"]).reshape(x.shape))

    def resample(self, h, embedding, naive, module, convolving):
        if self.biggan:
            return self.block(h, embedding, naive)
        if not self.spec.resample_with_convolution:
            return naive(h, self.taps)
        return convolving(h, self.next(module)["Conv_0"], self.taps)

    def project(self, h):
        h = self.act(group_norm(h, self.next("GroupNorm"), self.groups, self.epsilon))
        return convolution(h, self.next("Conv"))

    def convolve_down(self, x, layer, taps):
        return convolve_downsample(x, layer, taps, self.ddpm and self.spec.pad_every_side)

    def attends(self, h):
        return max(h.shape[1:-1]) in self.spec.attention_resolutions

    def down(self, x, embedding):
        pyramid, skips = x, [convolution(x, self.next("Conv"))]
        for level in range(len(self.spec.multipliers)):
            for _ in range(self.spec.blocks_per_level):
                h = self.block(skips[-1], embedding)
                skips.append(self.attention(h) if self.attends(h) else h)
            if level == len(self.spec.multipliers) - 1:
                break
            h = self.resample(skips[-1], embedding, downsample, "Downsample", self.convolve_down)
            if self.inward == "input_skip":
                pyramid = downsample(pyramid, self.taps)
                y = product(pyramid, self.next("Combine")["Dense_0"])
                h = y + h if self.spec.combine == "sum" else np.concatenate([y, h], axis=-1)
            elif self.inward == "residual":
                layer = self.next("Downsample")["Conv_0"]
                h = pyramid = self.add(convolve_downsample(pyramid, layer, self.taps), h)
            skips.append(h)
        return skips

    def up(self, h, skips, embedding):
        pyramid, every = None, self.ddpm and self.spec.attending_up == "every"
        for level in reversed(range(len(self.spec.multipliers))):
            for _ in range(self.spec.blocks_per_level + 1):
                h = self.block(np.concatenate([h, skips.pop()], axis=-1), embedding)
                h = self.attention(h) if self.attends(h) and every else h
            h = self.attention(h) if self.attends(h) and not every else h
            if self.outward != "none" and pyramid is None:
                pyramid = self.project(h)
            elif self.outward == "output_skip":
                pyramid = upsample(pyramid, self.taps) + self.project(h)
            elif self.outward == "residual":
                layer = self.next("Upsample")["Conv_0"]
                h = pyramid = self.add(upsample_convolve(pyramid, layer, self.taps), h)
            if level > 0:
                h = self.resample(h, embedding, upsample, "Upsample", upsample_convolve)
        assert not skips
        return pyramid if self.outward == "output_skip" else self.project(h)

    def __call__(self, x, time):
        self.counts.clear()
        sizes = x.shape[1:-1]
        embedding = self.embed(time)
        unit = 2 ** (len(self.spec.multipliers) - 1)
        extra = [(0, -size % unit) for size in sizes]
        x = np.pad(x if self.spec.centered else 2 * x - 1, [(0, 0), *extra, (0, 0)])
        skips = self.down(x, embedding)
        h = self.block(skips[-1], embedding)
        h = self.block(self.attention(h), embedding)
        output = self.up(h, skips, embedding)[(slice(None), *map(slice, sizes))]
        assert all(f"{kind}_{count + 1}" not in self.params for kind, count in self.counts.items())
        if not self.spec.scale_by_sigma:
            return output
        largest, smallest = np.log(self.spec.sigma_max), np.log(self.spec.sigma_min)
        table = np.exp(np.linspace(largest, smallest, self.spec.num_scales))
        sigma = np.exp(time) if self.fourier else table[time.astype(int)]
        return output / sigma.reshape(-1, *[1] * (x.ndim - 1))
