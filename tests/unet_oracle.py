"""NCSN++ and DDPM in numpy and float64: what the networks of the library are held against.

Written from the description of the published networks, one formula after the other, over the flat
list of their layers: no layer of the library is used, only the names of its parameters. The test
of the oracle itself is that it gives the published implementation's float64 outputs.
"""

import numpy as np
from scipy.signal import convolve2d

ACTIVATIONS = {
    "swish": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "relu": lambda x: np.maximum(x, 0),
    "lrelu": lambda x: np.maximum(x, 0.2 * x),
}


def upfirdn(x, kernel, up=1, down=1, before=0, after=0):
    """A zero behind every pixel if ``up`` is 2, padding or cropping, convolution, decimation."""
    batch, height, width, channels = x.shape
    spread = np.zeros((batch, up * height, up * width, channels))
    spread[:, ::up, ::up] = x
    padded = pad(spread, max(before, 0), max(after, 0))
    kept = slice(max(-before, 0), -max(-after, 0) or None)
    padded = padded[:, kept, kept]
    planes = [
        [convolve2d(padded[i, :, :, c], kernel, mode="valid") for c in range(channels)]
        for i in range(batch)
    ]
    return np.stack(planes).transpose(0, 2, 3, 1)[:, ::down, ::down]


def square(taps):
    kernel = np.outer(taps, taps).astype(float)
    return kernel / kernel.sum()


def downsample(x, taps):
    if taps is None:
        return (x[:, ::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, ::2] + x[:, 1::2, 1::2]) / 4
    p = len(taps) - 2
    return upfirdn(x, square(taps), down=2, before=(p + 1) // 2, after=p // 2)


def upsample(x, taps):
    if taps is None:
        return x.repeat(2, axis=1).repeat(2, axis=2)
    p = len(taps) - 2
    return upfirdn(x, 4 * square(taps), up=2, before=(p + 1) // 2 + 1, after=p // 2)


def correlate(x, kernel, stride=1):
    """Without padding."""
    height, width = (size - 2 for size in x.shape[1:3])
    shifted = [
        x[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    ]
    return sum(shifted)[:, ::stride, ::stride]


def pad(x, before, after):
    return np.pad(x, [(0, 0), (before, after), (before, after), (0, 0)])


def convolution(x, layer):
    return correlate(pad(x, 1, 1), layer["kernel"]) + layer["bias"]


def convolve_downsample(x, layer, taps, before=0):
    if taps is None:
        return correlate(pad(x, before, 1), layer["kernel"], stride=2) + layer["bias"]
    p = len(taps) - 2 + 2
    x = upfirdn(x, square(taps), before=(p + 1) // 2, after=p // 2)
    return correlate(x, layer["kernel"], stride=2) + layer["bias"]


def upsample_convolve(x, layer, taps):
    if taps is None:
        return convolution(upsample(x, None), layer)
    spread = np.zeros((x.shape[0], 2 * x.shape[1] - 1, 2 * x.shape[2] - 1, x.shape[3]))
    spread[:, ::2, ::2] = x
    p = len(taps) - 2 - 2
    full = correlate(pad(spread, 2, 2), layer["kernel"])
    return (
        upfirdn(full, 4 * square(taps), before=(p + 1) // 2 + 1, after=p // 2 + 1) + layer["bias"]
    )


def product(x, layer):
    return x @ layer["kernel"] + layer["bias"]


def group_norm(x, layer, groups, epsilon=1e-6):
    batch, height, width, channels = x.shape
    grouped = x.reshape(batch, height * width, groups or min(channels // 4, 32), -1)
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
            h = h + product(self.act(embedding), layer["time"])[:, None, None]
        h = self.act(group_norm(h, layer["GroupNorm_1"], self.groups, self.epsilon))
        h = convolution(h, layer["Conv_1"])
        return self.add(product(x, layer["shortcut"]) if "shortcut" in layer else x, h)

    def attention(self, x):
        layer = self.next("AttentionBlock")
        batch, height, width, channels = x.shape
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
        return h.shape[1] in self.spec.attention_resolutions

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
                h = y + h if self.spec.combine == "sum" else np.concatenate([y, h], axis=3)
            elif self.inward == "residual":
                layer = self.next("Downsample")["Conv_0"]
                h = pyramid = self.add(convolve_downsample(pyramid, layer, self.taps), h)
            skips.append(h)
        return skips

    def up(self, h, skips, embedding):
        pyramid, every = None, self.ddpm and self.spec.attending_up == "every"
        for level in reversed(range(len(self.spec.multipliers))):
            for _ in range(self.spec.blocks_per_level + 1):
                h = self.block(np.concatenate([h, skips.pop()], axis=3), embedding)
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
        embedding = self.embed(time)
        skips = self.down(x if self.spec.centered else 2 * x - 1, embedding)
        h = self.block(skips[-1], embedding)
        h = self.block(self.attention(h), embedding)
        output = self.up(h, skips, embedding)
        assert all(f"{kind}_{count + 1}" not in self.params for kind, count in self.counts.items())
        if not self.spec.scale_by_sigma:
            return output
        largest, smallest = np.log(self.spec.sigma_max), np.log(self.spec.sigma_min)
        table = np.exp(np.linspace(largest, smallest, self.spec.num_scales))
        sigma = np.exp(time) if self.fourier else table[time.astype(int)]
        return output / sigma[:, None, None, None]
