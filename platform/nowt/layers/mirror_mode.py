"""Mirror mode: layers respond to noise that nowt draws, and the rule receives noise and responses."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nowt.core.seeding import seed_of
from nowt.layers.views import view_of
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer, check_own_weights
from nowt.rules.mirror_control import MirrorSettings, layer_settings, with_settings
from nowt.rules.mirror_noise import MirrorNoise, MirrorSamples, draw_noise, summed_terms
from nowt.rules.mirror_work import MirrorWork
from nowt.rules.moment import Moment
from nowt.rules.schedule import Schedule

KEPT_TERMS = 4  # shapes of noise of one layer; a run has one

Label = tuple[int | str, ...]  # names a mirror step, so that its noise differs from that of all others


def mirror_before_learning(rule: Rule, layers: Sequence[FeedbackLayer], moment: Moment) -> float | MirrorWork:
    """Do the mirror steps before learning; return the mirror samples shown to each layer.

    Raises ValueError if no noise reaches some weights of a padded layer, or if the rule needs the run's schedule, which
    only ``train`` knows.
    """
    noise = _noise_of(rule)
    if noise.target_angle is not None:
        return _target_before_learning(rule, noise, layers, moment)
    if noise.extent and noise.kind != "idealised":
        check_reach(layers, noise.extent)
    if noise.bias:
        check_biases(layers)
    if noise.burst:
        _schedule(noise, moment)
    for step in range(noise.warmup):
        _mirror(rule, noise, layers, moment, (step - noise.warmup,), before_learning=step)
    return noise.warmup * noise.samples * noise.streams


def mirror_after_step(rule: Rule, layers: Sequence[FeedbackLayer], moment: Moment) -> float | MirrorWork:
    """Do a mirror step every ``interval`` training steps, and a burst after every ``burst_epochs`` epochs."""
    noise = _noise_of(rule)
    if noise.target_angle is not None:
        return _target_after_step(rule, noise, layers, moment)
    steps = 0
    if _is_regular(noise, moment):
        _mirror(rule, noise, layers, moment, (moment.step,))
        steps += 1
    if _is_burst(noise, moment):
        for number in range(noise.burst):
            _mirror(rule, noise, layers, moment, (moment.step, "burst", number))
        steps += noise.burst
    return steps * noise.samples * noise.streams


def acts_after_step(rule: Rule, layers: Sequence[FeedbackLayer], moment: Moment) -> bool:
    """Return whether ``mirror_after_step`` does a mirror step in any layer."""
    noise = _noise_of(rule)
    if noise.target_angle is None:
        return _is_regular(noise, moment) or _is_burst(noise, moment)
    schedule = _schedule(noise, moment)
    return any(schedule.reaches(moment.step, chosen.turnover) for _, chosen in _chosen(noise, layers, moment))


def _is_regular(noise: MirrorNoise, moment: Moment) -> bool:
    return noise.interval > 0 and moment.step % noise.interval == 0


def _is_burst(noise: MirrorNoise, moment: Moment) -> bool:
    steps = noise.burst_epochs * _schedule(noise, moment).steps_per_epoch if noise.burst else 0
    return steps > 0 and moment.step % steps == 0


def _target_before_learning(
    rule: Rule, noise: MirrorNoise, layers: Sequence[FeedbackLayer], moment: Moment
) -> MirrorWork:
    work = MirrorWork()
    for layer, chosen in _chosen(noise, layers, moment):
        for step in range(chosen.warmup):
            own = with_settings(noise, chosen)
            _mirror(rule, own, [layer], moment, (step - chosen.warmup,), before_learning=step, decay=chosen.decay)
        work += chosen.work(layer, len(layers)) * chosen.warmup
    return work


def _target_after_step(rule: Rule, noise: MirrorNoise, layers: Sequence[FeedbackLayer], moment: Moment) -> MirrorWork:
    """Do a mirror step in each layer whose W has turned by its share since its last one."""
    work = MirrorWork()
    for layer, chosen in _chosen(noise, layers, moment):
        if _schedule(noise, moment).reaches(moment.step, chosen.turnover):
            _mirror(rule, with_settings(noise, chosen), [layer], moment, (moment.step,), decay=chosen.decay)
            work += chosen.work(layer, len(layers))
    return work


def _chosen(
    noise: MirrorNoise, layers: Sequence[FeedbackLayer], moment: Moment
) -> Iterator[tuple[FeedbackLayer, MirrorSettings]]:
    return zip(layers, layer_settings(noise.target_angle, layers, _schedule(noise, moment)), strict=True)


def _noise_of(rule: Rule) -> MirrorNoise:
    noise = rule.mirror_noise()
    assert noise is not None
    return noise


def _schedule(noise: MirrorNoise, moment: Moment) -> Schedule:
    if moment.schedule is None:
        field = "burst" if noise.target_angle is None else "target_angle"
        raise ValueError(
            f"rule.{field} needs the length of an epoch and the learning-rate schedule, which nowt knows only in "
            "nowt.train: in your own loop, set samples, interval and decay"
        )
    return moment.schedule


@torch.no_grad()
def _mirror(
    rule: Rule,
    noise: MirrorNoise,
    layers: Sequence[FeedbackLayer],
    moment: Moment,
    label: Label,
    before_learning: int | None = None,
    decay: float | None = None,
) -> None:
    """Do one mirror step."""
    check_own_weights(layers)
    group, streams = moment.group, noise.streams
    mine = range(group.rank, streams, group.size) if streams > 1 else range(1)
    for layer in layers:
        pairs = tuple(_pair(layer, noise, moment, label, number) for number in mine)
        samples = MirrorSamples(
            pairs=pairs,
            terms=_terms(layer, pairs[0][0], noise),
            before_learning=before_learning,
            decay=decay,
            geometry=layer.geometry,
            padded=noise.kind != "idealised",
            streams=streams,
            group=group,
            like=layer.feedback,
        )
        rule.observe_mirror(view_of(layer, moment), samples)


def _terms(layer: FeedbackLayer, x: Tensor, noise: MirrorNoise) -> Tensor | int:
    """Return what a sum over the noise ``x`` is divided by.

    It depends on shapes alone. The layer keeps it, since computing it takes nearly as long as a small mirror step.
    """
    kept: dict[object, Tensor | int] = layer.__dict__.setdefault("kept_terms", {})
    key = noise.normalize, noise.kind, x.shape, x.device, x.dtype
    found = kept.get(key)
    if found is None:
        while len(kept) >= KEPT_TERMS:
            del kept[next(iter(kept))]
        found = kept[key] = summed_terms(layer.geometry, x, noise)
    return found.clone() if isinstance(found, Tensor) else found  # a rule may change it in place


def _pair(layer: FeedbackLayer, noise: MirrorNoise, moment: Moment, label: Label, number: int) -> tuple[Tensor, Tensor]:
    """Return one stream of noise and the layer's response to it."""
    name = (layer.name, *label, number) if number else (layer.name, *label)
    stream = torch.Generator(layer.weight.device).manual_seed(seed_of(moment.seed, "mirror", *name))
    x = _laid_out(draw_noise(layer.geometry, noise, layer.weight, stream), layer.weight)
    y = (moment.respond or response)(layer, noise, x)
    if noise.receiver_noise > 0:
        y = y + noise.receiver_noise * torch.randn(y.shape, generator=stream, device=y.device, dtype=y.dtype)
    return x, y


def _laid_out(x: Tensor, weight: Tensor) -> Tensor:
    """Return the noise in the memory format of W, which torch would copy it to for the response and for the product."""
    last = torch.channels_last
    other = weight.dim() == 4 and weight.is_contiguous(memory_format=last) and not weight.is_contiguous()
    return x.contiguous(memory_format=last) if other else x


def response(layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    """Return the layer's response to x, without receiver noise."""
    y = layer.apply_weight(x, padded=noise.kind != "idealised")
    if noise.bias and layer.bias is not None:
        y = y + layer.bias.view(-1, *[1] * (y.dim() - 2))
    if noise.through == "linear":
        return y
    if noise.last_activation == "sigmoid" and layer is layer.output_layer:
        return y.sigmoid()
    return layer.nonlinearity(y)


def check_reach(layers: Sequence[FeedbackLayer], extent: int) -> None:
    """Raise ValueError if, at ``extent``, some weights of a layer see only padding."""
    for layer in layers:
        if layer.geometry.has_unreached_weights(layer.geometry.probe_shape(1, extent)):
            raise ValueError(
                f"rule.extent is {extent}: in layer {layer.name}, some weights see only padding and receive "
                "no noise, so their B would never align; use a larger extent, or 0 for the layer's own map"
            )


def check_biases(layers: Sequence[FeedbackLayer]) -> None:
    """Raise ValueError if no layer has a bias that could be added to the response."""
    if all(layer.bias is None for layer in layers):
        raise ValueError("rule.bias is True, but no layer with a B has a bias: leave out rule.bias")
