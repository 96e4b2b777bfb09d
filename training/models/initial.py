"""Where training starts: the ten learned dates are ten dates of the year.

With the usual random weights the vectors of all queries are nearly the mean of the series, the
decoder's large first errors shrink what little tells them apart, and training rests for thousands
of steps at the mean of all series. `begin_with_seasons` sets the attention of the projector and of
the decoder to look for the same time of the year, and the decoder's last layer to zero, so that
nothing is shrunk before it has been of use. Everything stays free to be learned.
"""

from __future__ import annotations

import torch
from torch import nn

from .alise import Alise
from .day_encoding import YEAR_DAYS

# How strongly a query prefers its own season, in the projector and in the decoder: their scores
# at no distance are about twice and three and a half times that.
PROJECTOR_GAIN = 1.5
DECODER_GAIN = 1.6
# The layers of the transformer begin close to passing the dates on.
RESIDUAL_GAIN = 0.3
NOISE = 0.02


@torch.no_grad()
def begin_with_seasons(model: Alise) -> None:
    """Set the weights described above.

    Raises:
        ValueError: the model's day encoding has no harmonics of the year.
    """
    if model.config.day_frequencies != "year":
        raise ValueError('a model whose day_frequencies are not "year" knows no seasons')
    for layer in model.temporal.transformer.layers:
        assert isinstance(layer.out, nn.Linear)
        assert isinstance(layer.linear2, nn.Linear)
        layer.out.weight.mul_(RESIDUAL_GAIN)
        layer.linear2.weight.mul_(RESIDUAL_GAIN)
    projector = model.temporal.projector
    heads, n_queries, d_key = projector.query.shape
    days = torch.arange(n_queries) / n_queries * YEAR_DAYS
    # Keys may be wider than the dates that they are made of.
    width = min(d_key, model.config.d_model)
    seasons = model.temporal.day_encoding(days)[:, :width]
    projector.query.zero_()
    projector.query[..., :width] = (PROJECTOR_GAIN * seasons).expand(heads, -1, -1)
    projector.key.weight.normal_(std=NOISE)
    for head in range(heads):
        projector.key.weight[head * d_key : head * d_key + width, :width] += torch.eye(width)
    for linear in (model.decoder.query, model.decoder.key):
        linear.weight.normal_(std=NOISE)
        linear.weight[:width, :width] += DECODER_GAIN * torch.eye(width)
    model.decoder.bands.weight.zero_()
    model.decoder.bands.bias.zero_()
