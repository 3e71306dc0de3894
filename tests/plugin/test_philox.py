"""The words and numbers of draws: published vectors, definitions, devices and distributions."""

import math
from threading import Thread

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare, kstest, norm

from pipeline.plugin import draws as draws_of
from pipeline.plugin.draws import AT_ONCE, Draws, _normal, _uniform, stream
from pipeline.plugin.philox import philox4x64, rounds_of, rows_on, signed, words

CPU = torch.device("cpu")
PI = (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89)
MORE_PI = (0x452821E638D01377, 0xBE5466CF34E90C6C)
FULL = 2**64 - 1
# "philox4x64 10" in tests/kat_vectors of Random123 (https://github.com/DEShawResearch/random123)
PUBLISHED = [
    ((0,) * 4, (0,) * 2, "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    (
        (FULL,) * 4,
        (FULL,) * 2,
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    (PI, MORE_PI, "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6"),
]


def normal(count: int, size: int, seed: int = 0, row: int = 0, step: int = 0, draw: int = 0):
    draws = Draws(seed, "train", range(row, row + count), step)
    draws.draw = draw
    return draws.normal(torch.empty(count, size)).numpy()


@pytest.mark.parametrize(("counter", "key", "block"), PUBLISHED)
def test_torch_gives_the_published_words(counter, key, block):
    counters = torch.tensor([*map(signed, counter)]).reshape(4, 1, 1)
    found = philox4x64(counters, rounds_of(key, CPU))
    assert [word % 2**64 for word in found.flatten().tolist()] == [
        int(word, 16) for word in block.split()
    ]


@pytest.mark.parametrize(("counter", "key", "block"), PUBLISHED)
def test_numpy_gives_the_published_words(counter, key, block):
    """It counts before it makes a block."""
    before = sum(word << 64 * i for i, word in enumerate(counter)) - 1
    made = np.random.Philox(key=np.array(key, np.uint64), counter=before % 2**256).random_raw(4)
    assert made.tolist() == [int(word, 16) for word in block.split()]


@pytest.mark.parametrize("rows", [range(3, 9, 2), [5, 0, 2**40, 2**63 + 1]])
@pytest.mark.parametrize("count", [0, 1, 4, 7, 50])
def test_the_same_words_are_made_by_torch_and_by_numpy(rows, count):
    draws = Draws(2**63 + 7, "sample", rows, step=2**40)
    draws.draw = 3
    ours = draws._words(rows, count)
    key = tuple(stream(2**63 + 7, "sample").bit_generator.state["state"]["key"].tolist())
    made = words(rounds_of(key, CPU), 3, 2**40, rows_on(rows, CPU), count)
    assert np.array_equal(ours, made.numpy().view(np.uint64))
    for row, one in zip(rows, ours, strict=True):
        source = stream(2**63 + 7, "sample", row, 2**40, 3).bit_generator
        assert np.array_equal(one, source.random_raw(count))


@pytest.mark.parametrize("size", [1, 6, 333])
@pytest.mark.parametrize(("bits", "dtype"), [(32, torch.float32), (64, torch.float64)])
def test_the_numbers_elsewhere_are_those_of_the_cpu(size, bits, dtype):
    """What makes them elsewhere, tried on the CPU."""
    for rows in (range(40), [7, 1, 30]):
        like = torch.empty(len(rows), size, dtype=dtype)
        draws = Draws(1, "train", rows, step=5)
        uniform = draws._by_torch(_uniform, size, bits, CPU)
        assert torch.equal(draws.uniform(like), uniform)
        draws = Draws(1, "train", rows, step=5)
        found = draws._by_torch(_normal, size, bits, CPU)
        assert found.dtype == dtype
        bound = 4e-6 if bits == 32 else 1e-13
        torch.testing.assert_close(draws.normal(like), found, rtol=0, atol=bound)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_a_gpu_repeats_as_one_is_what_it_makes_kernel_by_kernel(monkeypatch):
    """Of steps and rows that were not recorded too; what was given before stays as it was."""

    def made(recorded: int, step: int) -> list[torch.Tensor]:
        monkeypatch.setattr(draws_of, "RECORDED", recorded)
        batch = Draws(3, "train", range(64), step)
        found = [batch.uniform(torch.empty(64, device="cuda"))]
        found += [batch.normal(torch.empty(64, 3, 64, 64, device="cuda")) for _ in range(2)]
        few = Draws(3, "train", [5, 2**63 + 1, 7 + step], step)
        found.append(few.normal(torch.empty(3, 10, dtype=torch.float64, device="cuda")))
        with torch.inference_mode():
            found.append(few.normal(torch.empty(3, 0, device="cuda")))
            found.append(few.normal(torch.empty(3, 8, device="cuda")))
        return found

    kept = {step: made(2**20, step) for step in (0, 1, 2, 2**40)}
    for step, found in kept.items():
        assert all(map(torch.equal, found, made(0, step), strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_elsewhere_they_have_the_shape_and_dtype_that_was_asked_for(dtype, kind):
    for shape in ((3,), (3, 5), (3, 2, 4), (3, 0), (0, 4)):
        like = torch.empty(shape, dtype=dtype, device="meta")
        found = getattr(Draws(0, "train", range(shape[0])), kind)(like)
        assert (found.shape, found.dtype, found.device) == (like.shape, dtype, like.device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_numbers_are_those_of_numpys_generator(dtype):
    found = Draws(4, "validate", [8, 3], step=2).uniform(torch.empty(2, 7, dtype=dtype))
    for row, one in zip((8, 3), found.numpy(), strict=True):
        assert np.array_equal(one, stream(4, "validate", row, 2).random(7, one.dtype))


def test_normal_numbers_are_what_box_and_muller_define():
    for row, found in enumerate(normal(3, 9, seed=5, step=1)):
        made = stream(5, "train", row, 1).bit_generator.random_raw(5)
        halves = [half for word in made.tolist() for half in (word % 2**32, word >> 32)]
        signed = [half - 2**32 if half >= 2**31 else half for half in halves]
        points = [
            (math.sqrt(-2 * math.log(abs(a) / 2**31 + 2**-32)), math.pi * b / 2**31)
            for a, b in zip(signed[:5], signed[5:], strict=True)
        ]
        expected = [r * math.cos(t) for r, t in points] + [r * math.sin(t) for r, t in points]
        np.testing.assert_allclose(found, expected[:9], atol=4e-6)


@pytest.mark.parametrize(("bits", "ints"), [(32, np.int32), (64, np.int64)])
def test_the_outermost_integers_give_finite_numbers(bits, ints):
    low, high = np.iinfo(ints).min, np.iinfo(ints).max
    radii = np.repeat(np.array([0, -1, 1, low, high], ints), 5)
    angles = np.tile(np.array([0, -1, 1, low, high], ints), 5)
    every = np.concatenate((radii, angles))[None]
    for of, given in ((np, every), (torch, torch.from_numpy(every))):
        found = np.asarray(_normal(of, given, bits))
        assert np.isfinite(found).all()
        assert np.abs(found).max() == pytest.approx(math.sqrt(2 * bits * math.log(2)), abs=1e-5)
        uniform = np.asarray(_uniform(of, given, bits))
        assert uniform.min() == 0
        assert uniform.max() < 1


def test_rows_are_the_same_in_large_batches_and_alone():
    """However many are made at once, and wherever they lie in memory."""
    size = 2 * AT_ONCE // 5 + 3
    every = normal(12, size)
    for row in (0, 1, 4, 5, 11):
        assert np.array_equal(normal(1, size, row=row)[0], every[row])
    small = normal(1000, 3)
    assert np.array_equal(normal(7, 3, row=501), small[501:508])


def test_threads_do_not_disturb_each_other():
    alone, found = normal(64, 500), {}

    def draw(name: int) -> None:
        found[name] = [np.array_equal(normal(64, 500), alone) for _ in range(20)]

    threads = [Thread(target=draw, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: [True] * 20 for name in range(4)}


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    return normal(256, 16384, seed=11).astype(np.float64)


def test_moments_are_those_of_the_normal_distribution(many):
    count = many.size
    for power, (mean, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        assert abs((many**power).mean() - mean) < 4 * (variance / count) ** 0.5


def test_numbers_are_normally_distributed_everywhere(many):
    for some in (many, many[:, :8192], many[:, 8192:], many[:, :1], many[0]):
        assert kstest(some.ravel(), "norm").pvalue > 0.001


@pytest.mark.parametrize("beyond", [0.01, 1, 2, 3, 4, 4.5])
def test_the_tails_and_the_middle_hold_what_they_should(many, beyond):
    outside = int((np.abs(many) > beyond).sum())
    assert binomtest(outside, many.size, 2 * norm.sf(beyond)).pvalue > 0.001


NEIGHBOURS = [{"row": 1}, {"step": 1}, {"draw": 1}, {"seed": 1}, {"row": 1, "step": 1}]


@pytest.mark.parametrize("other", NEIGHBOURS, ids=str)
def test_neighbours_are_independent(other):
    """Each pair of numbers falls into each of 16 by 16 equally likely cells as often as others."""
    check_independent(normal(1, 2**18)[0], normal(1, 2**18, **other)[0])


def test_purposes_are_independent():
    like = torch.empty(1, 2**18)
    a, b = (Draws(0, purpose, [0]).normal(like)[0].numpy() for purpose in ("train", "sample"))
    check_independent(a, b)


def test_numbers_of_a_row_are_independent(many):
    """The two of a point, which share radius and angle, and those that follow each other."""
    check_independent(many[:, :8192].ravel(), many[:, 8192:].ravel())
    check_independent(many[:, :-1].ravel(), many[:, 1:].ravel())


def test_first_numbers_of_many_rows_are_a_good_sample():
    """As times are drawn: one number a row."""
    found = normal(2**16, 1)[:, 0]
    assert kstest(found, "norm").pvalue > 0.001
    check_independent(found[:-1], found[1:])


def check_independent(a: np.ndarray, b: np.ndarray) -> None:
    x, y = (np.minimum((norm.cdf(one) * 16).astype(int), 15) for one in (a, b))
    assert chisquare(np.bincount(x * 16 + y, minlength=256)).pvalue > 0.001
