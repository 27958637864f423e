"""Grouped batch norm: its definition, and its equivalence to several workers with one group each."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from nowt.models.batch_norm import GroupedBatchNorm2d
from tests.support.built_models import GRAY_SHAPE, build


def grouped(group: int, channels: int = 3) -> GroupedBatchNorm2d:
    """A batch norm over groups of ``group`` samples with random γ and β."""
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    nn.init.uniform_(norm.bias, generator=torch.Generator().manual_seed(2))
    norm.__class__ = GroupedBatchNorm2d
    assert isinstance(norm, GroupedBatchNorm2d)
    norm.group = group
    return norm


def random_images(count: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Images whose mean differs from sample to sample."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, 5, 4, generator=stream) * 2 + torch.arange(count).view(-1, 1, 1, 1)


def test_grouped_batch_norm_normalizes_each_group_with_its_own_statistics() -> None:
    norm, x = grouped(4), random_images(12)
    y = norm(x)
    means, variances = [], []
    for start in range(0, 12, 4):
        part = x[start : start + 4]
        mean, var = part.mean((0, 2, 3), keepdim=True), part.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = norm.weight.view(1, -1, 1, 1), norm.bias.view(1, -1, 1, 1)
        expected = (part - mean) / (var + norm.eps).sqrt() * scale + shift
        torch.testing.assert_close(y[start : start + 4], expected)
        means.append(part.mean((0, 2, 3)))
        variances.append(part.var((0, 2, 3), correction=1))
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.stack(means).mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * torch.stack(variances).mean(0))
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_with_one_group_per_batch_grouped_batch_norm_equals_batch_norm_bit_for_bit(layout: torch.memory_format) -> None:
    one, x = grouped(6), random_images(6).contiguous(memory_format=layout)
    plain = nn.BatchNorm2d(3)
    plain.load_state_dict(one.state_dict())
    assert torch.equal(one(x), plain(x))
    for name, value in plain.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_worker_with_several_groups_equals_several_workers_with_one_group_each(layout: torch.memory_format) -> None:
    x = random_images(12).contiguous(memory_format=layout).requires_grad_()
    alone, workers = grouped(4), [grouped(4) for _ in range(3)]
    y = torch.cat([norm(part) for norm, part in zip(workers, x.chunk(3), strict=True)])
    assert torch.equal(alone(x), y)
    assert alone(x).is_contiguous(memory_format=layout)
    (expected,) = torch.autograd.grad(y.square().sum(), x)
    (found,) = torch.autograd.grad(alone(x).square().sum(), x)
    assert torch.equal(found, expected)


def test_the_mean_running_statistics_of_workers_equal_those_of_one_worker() -> None:
    alone, workers = grouped(4), [grouped(4) for _ in range(3)]
    for step in range(5):
        x = random_images(12, seed=step)
        alone(x)
        for norm, part in zip(workers, x.chunk(3), strict=True):
            norm(part)
    for name in ("running_mean", "running_var"):
        mean = torch.stack([norm.get_buffer(name) for norm in workers]).mean(0)
        torch.testing.assert_close(alone.get_buffer(name), mean)
    assert alone.num_batches_tracked == workers[0].num_batches_tracked == 5


def test_evaluation_uses_the_running_statistics_for_any_batch_size() -> None:
    norm = grouped(4)
    norm(random_images(12))
    plain = nn.BatchNorm2d(3)
    plain.load_state_dict(norm.state_dict())
    x = random_images(5, seed=9)
    assert torch.equal(norm.eval()(x), plain.eval()(x))


def test_a_batch_that_the_group_size_does_not_divide_is_rejected_in_one_line() -> None:
    for count in (3, 6):
        with pytest.raises(ValueError, match=f"a batch of {count} cannot be split into groups of 4") as caught:
            grouped(4)(random_images(count))
        assert "\n" not in str(caught.value)


def test_models_with_grouped_batch_norm_can_be_copied_pickled_and_saved() -> None:
    model, x = build("tiny_resnet", GRAY_SHAPE, norm_group=2), torch.rand(4, *GRAY_SHAPE)
    fresh = build("tiny_resnet", GRAY_SHAPE, norm_group=2, seed=5)
    fresh.load_state_dict(model.state_dict())
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fresh]
    expected = model(x)
    assert all(torch.equal(twin(x), expected) for twin in twins)


def test_models_with_grouped_batch_norm_compile_without_graph_breaks() -> None:
    model, x = build("tiny_resnet", GRAY_SHAPE, norm_group=2), torch.rand(4, *GRAY_SHAPE)
    twin = copy.deepcopy(model)
    traced = torch.compile(twin, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(traced(x), model(x))
    for name, value in model.named_buffers():
        torch.testing.assert_close(twin.get_buffer(name), value)


def test_under_autocast_grouped_batch_norm_keeps_its_statistics_in_float32() -> None:
    model = build("tiny_resnet", GRAY_SHAPE, norm_group=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.rand(4, *GRAY_SHAPE))
    logits.float().sum().backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    assert all(b.dtype in (torch.float32, torch.int64) for b in model.buffers())
