"""Random numbers by what they are for, and batches by seed and step."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from pipeline.errors import InputError
from pipeline.plugin.draws import Draws, stream
from pipeline.training.batches import Batches


def like(n: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(n, *shape, dtype=dtype)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_a_row_depends_on_neither_its_batch_nor_its_place(kind):
    def drawn(rows):
        draws = Draws(3, "sample", rows, step=4)
        return [getattr(draws, kind)(like(len(rows), 2, 3)) for _ in range(2)]

    every = drawn(range(8))
    for rows in ([5], [2, 3], [7, 0, 4], range(4, 8)):
        for all_rows, some in zip(every, drawn(rows), strict=True):
            assert torch.equal(all_rows[list(rows)], some)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_all_that_a_draw_is_for_changes_it(kind):
    def drawn(seed=0, purpose="train", row=0, step=0, before=0):
        draws = Draws(seed, purpose, [row], step)
        for _ in range(before):
            draws.normal(like(1, 99))
        return getattr(draws, kind)(like(1, 1000, dtype=torch.float64))[0].numpy()

    ways = [{}, {"seed": 1}, {"seed": 2**63}, {"purpose": "sample"}, {"purpose": "validate"}]
    ways += [{"purpose": "evaluate"}, {"row": 1}, {"row": 2**31}, {"step": 1}, {"step": 2}]
    ways += [{"before": 1}, {"before": 2}]
    found = np.stack([drawn(**way) for way in ways])
    correlation = np.corrcoef(found) - np.eye(len(ways))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(1000)
    assert len(np.unique(found)) == found.size
    assert np.array_equal(found[0], drawn())


def test_how_much_was_drawn_before_does_not_matter_only_how_often():
    short, long = Draws(0, "train", [0]), Draws(0, "train", [0])
    short.normal(like(1, 2))
    long.uniform(like(1, 5000))
    assert torch.equal(short.normal(like(1, 7)), long.normal(like(1, 7)))


def test_streams_of_neighbours_do_not_overlap():
    keys = [{}, {"draw": 1}, {"row": 1}, {"step": 1}]
    words = [stream(0, "train", **key).integers(2**64, size=20000, dtype=np.uint64) for key in keys]
    assert len(np.unique(np.concatenate(words))) == 80000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_have_their_distributions(dtype):
    draws = Draws(0, "train", range(20))
    wanted = like(20, 3, 50, 20, dtype=dtype)
    normal, uniform = draws.normal(wanted).double(), draws.uniform(wanted).double()
    count = wanted.numel()
    assert abs(normal.mean()) < 4 / count**0.5
    assert abs(normal.var() - 1) < 4 * (2 / count) ** 0.5
    assert abs(uniform.mean() - 0.5) < 4 / (12 * count) ** 0.5
    assert abs(uniform.var() - 1 / 12) < 4 / (180 * count) ** 0.5
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert kstest(normal.flatten(), "norm").pvalue > 0.01
    assert kstest(uniform.flatten(), "uniform").pvalue > 0.01


def test_the_first_numbers_of_many_rows_are_a_good_sample_too():
    """One number a row, as times and flips are drawn."""
    found = Draws(0, "train", range(4000)).uniform(like(4000, dtype=torch.float64))
    assert kstest(found, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4 / 4000**0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_come_as_asked(dtype):
    found = Draws(0, "train", [0, 1]).normal(like(2, 3, 4, dtype=dtype))
    assert found.dtype == dtype
    assert found.shape == (2, 3, 4)
    if dtype != torch.float64:
        whole = Draws(0, "train", [0, 1]).normal(like(2, 3, 4))
        assert torch.equal(found, whole.to(dtype))


def test_numbers_come_where_asked():
    elsewhere = torch.empty(2, 3, device="meta")
    assert Draws(0, "train", [0, 1]).uniform(elsewhere).device.type == "meta"


def test_torchs_own_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Draws(0, "train", [0]).normal(like(1, 5))
    assert torch.equal(torch.get_rng_state(), before)


def test_another_number_of_rows_is_a_mistake():
    with pytest.raises(ValueError, match="3 rows"):
        Draws(0, "train", [0, 1]).normal(like(3, 2))


def epoch(batches: Batches, number: int = 0) -> list[list[int]]:
    start = number * batches.per_epoch
    return [batches[step].tolist() for step in range(start, start + batches.per_epoch)]


@pytest.mark.parametrize(("images", "steps"), [(6551, 511), (1638, 127)])
def test_the_books_numbers_of_steps(images, steps):
    assert Batches(np.arange(images), 0, 64, 5).per_epoch == steps


@pytest.mark.parametrize(
    ("images", "size", "repeats"), [(23, 4, 3), (64, 64, 1), (10, 32, 5), (7, 7, 2), (9, 1, 1)]
)
def test_every_image_is_seen_once_a_pass(images, size, repeats):
    indices = np.arange(images) * 3 + 100
    batches = Batches(indices, 0, size, repeats)
    for number in range(3):
        found = epoch(batches, number)
        assert {len(batch) for batch in found} == {size}
        dropped = images * repeats - size * len(found)
        assert 0 <= dropped < size
        order = list(chain.from_iterable(found))
        for one in range(repeats):
            seen = order[one * images : (one + 1) * images]
            assert len(set(seen)) == len(seen)
        counts = Counter(order)
        assert set(counts) <= set(indices.tolist())
        assert sum(repeats - counts[i] for i in indices.tolist()) == dropped
        assert max(counts.values()) <= repeats


def test_a_batch_is_a_function_of_seed_and_step():
    def batches(seed=0):
        return Batches(np.arange(50), seed, 8, 3)

    forwards = [batches()[step].tolist() for step in range(60)]
    made = batches()
    backwards = [made[step].tolist() for step in reversed(range(60))]
    assert forwards == backwards[::-1]
    assert forwards[37] == batches()[37].tolist()
    assert all(a != b[step].tolist() for b in [batches(1)] for step, a in enumerate(forwards))


def test_no_two_passes_have_the_same_order():
    batches = Batches(np.arange(40), 0, 8, 3)  # 5 batches a pass, 15 an epoch
    passes = [
        tuple(chain.from_iterable(batches[5 * one + i].tolist() for i in range(5)))
        for one in range(12)
    ]
    assert all(sorted(one) == list(range(40)) for one in passes)
    assert len(set(passes)) == 12
    assert tuple(range(40)) not in passes


def test_every_image_is_as_likely_first():
    firsts = Counter(int(Batches(np.arange(4), seed, 4, 1)[0][0]) for seed in range(400))
    assert all(abs(firsts[i] - 100) < 4 * (400 * 0.25 * 0.75) ** 0.5 for i in range(4))


def test_fewer_images_than_a_batch_are_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"train.batch_size 64 .* 12 images in 5 passes"):
        Batches(np.arange(12), 0, 64, 5)
    assert Batches(np.arange(13), 0, 64, 5).per_epoch == 1
