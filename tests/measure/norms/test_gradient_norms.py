"""Norms of gradients, by machine code and by torch."""

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from gradsound.measure.norms.gradient_norms import GradientNorms, load_object_norms
from gradsound.measure.norms.torch_norms import TorchNorms


def without_llvm() -> None:
    """The result of load_object_norms() without llvmlite."""


LOADERS = pytest.mark.parametrize(
    "load_objects", [load_object_norms, without_llvm], ids=["machine code", "torch"]
)


def gradient_norms(
    gradients: object, load_objects: object = load_object_norms
) -> np.ndarray:
    return GradientNorms(load_objects).compute(gradients).host_norms()


def test_machine_code_is_available() -> None:
    """This environment has llvmlite, so the tests of machine code do not test torch."""
    assert load_object_norms() is not None


@LOADERS
def test_norms_of_any_gradient(load_objects) -> None:
    """Norms are right to 2e-6 for any dtype, size, layout and range."""
    inf, nan = float("inf"), float("nan")
    at, values = [[0, 0, 2]], [1.0, 2.0, 4.0]  # 3 at one place
    sparse = torch.sparse_coo_tensor(at, values, (5,), check_invariants=True)
    cases = [
        (torch.full((9,), 1 / 3), 1.0),
        (torch.full((100,), 1e3, dtype=torch.float16), 1e4),  # inf if summed in half
        (torch.full((10_001,), 3.0, dtype=torch.bfloat16), 300.014999625),
        (torch.full((1_000_000,), 1e3, dtype=torch.float16), 1e6),  # many equal ones
        (torch.full((1_000_003,), 1 / 3), np.sqrt(1_000_003) / 3),  # and a remainder
        (torch.full((1000, 1000), 1 / 3).t()[::2], np.sqrt(500_000) / 3),  # not contiguous
        (torch.full((4,), 1e200, dtype=torch.float64), 2e200),
        (torch.full((4,), 3j, dtype=torch.complex64), 6.0),
        (torch.full((4,), 3e200j, dtype=torch.complex128), 6e200),
        (torch.full((4,), 1e20), 2e20),  # its square is no float32
        (torch.full((4,), 1e-25), 2e-25),
        (torch.tensor(-1 / 3), 1 / 3),
        (torch.zeros(0), 0.0),
        (torch.zeros(3), 0.0),
        (torch.tensor([1.0, nan]), nan),
        (torch.tensor([1.0, -inf]), inf),
        (torch.tensor([nan, inf]), nan),
        (sparse, 5.0),
        (None, 0.0),
    ]
    gradients, expected = zip(*cases)  # a sum of 2048 equal floats is good to 2e-6

    np.testing.assert_allclose(gradient_norms(gradients, load_objects), expected, rtol=2e-6)
    for gradient, norm in cases:
        np.testing.assert_allclose(
            gradient_norms([gradient], load_objects), [norm], rtol=2e-6
        )


@LOADERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_many_small_gradients_of_one_shape(load_objects, dtype: torch.dtype) -> None:
    """Norms of any size are right side by side, also when other gradients are None."""
    sizes = [1e-30, 1e-25, 1e-10, 1.0, 1e10, 1e20, 1e30, 0.0, float("inf"), float("nan")]
    gradients = [torch.full((3, 3), size, dtype=dtype) for size in sizes] * 5
    batched = GradientNorms(load_objects)
    for absent in ((), (1, 7, 12), ()):
        gradients_or_none = [None if k in absent else g for k, g in enumerate(gradients)]
        expected = [0.0 if g is None else 3 * float(g[0, 0]) for g in gradients_or_none]
        snapshot = batched.compute(gradients_or_none)
        np.testing.assert_allclose(snapshot.host_norms(), expected, rtol=1e-6)
        assert np.flatnonzero(snapshot.without_gradient).tolist() == [*absent]
    before = [gradient.clone() for gradient in gradients]
    batched.compute(gradients)
    for gradient, was in zip(gradients, before):
        torch.testing.assert_close(gradient, was, rtol=0, atol=0, equal_nan=True)


@LOADERS
def test_sizes_near_vector_lengths(load_objects) -> None:
    """A norm contains a partial vector's elements, but no element beyond the gradient."""
    sizes = [*range(1, 40), 4095, 4096, 4097, 16_384, 16_385]
    memory = [torch.rand(size + 32) for size in sizes]
    gradients = [one[16:-16] for one in memory]
    expected = [float(g.double().norm()) for g in gradients]

    np.testing.assert_allclose(gradient_norms(gradients, load_objects), expected, rtol=1e-6)


@LOADERS
@pytest.mark.parametrize(
    "other",
    [
        lambda g: g.double(),
        lambda g: g.half(),
        lambda g: g.t(),
        lambda g: g[:, :1],
        lambda g: g.repeat(3, 3),
        lambda g: g[:0],
        lambda g: g.to_sparse(),
        lambda g: nn.Parameter(g),
        lambda g: torch.complex(g, g),
        lambda g: torch.empty(4, 4).fill_(2.0).expand(2, 4, 4),
        lambda g: torch._efficientzerotensor(4, 4),
    ],
)
def test_gradients_may_change_their_type(load_objects, other) -> None:
    """Norms stay right if a gradient changes type, size or layout, and changes back."""
    gradients = [torch.rand(4, 4) for _ in range(6)]
    changed = [*gradients]
    changed[3] = other(gradients[3])
    batched = GradientNorms(load_objects)
    for step_gradients in (gradients, changed, gradients):
        expected = [
            float(g.detach().to_dense().abs().double().norm()) for g in step_gradients
        ]
        with torch.no_grad():  # as hooks do
            norms = batched.compute(step_gradients).host_norms()
        np.testing.assert_allclose(norms, expected, rtol=1e-3)


@LOADERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_many_gradients_that_are_single_numbers(load_objects, dtype: torch.dtype) -> None:
    """Gates and temperatures are parameters without a dimension; a model may have many."""
    gradients = [torch.tensor(size, dtype=dtype) for size in (0.5, -1.0, 2.0, 1e-30, 8.0)]

    norms = gradient_norms(gradients, load_objects)
    np.testing.assert_allclose(norms, [0.5, 1.0, 2.0, 1e-30, 8.0], rtol=1e-2)


@LOADERS
@pytest.mark.filterwarnings("ignore:Sparse CS. tensor support")
@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_gradients_in_compressed_sparse_layouts(load_objects, layout: str) -> None:
    """Torch trains weights in these layouts, whose gradients have the same one."""
    matrix = torch.tensor([[3.0, 0.0], [0.0, -4.0]])
    gradient = getattr(matrix, f"to_sparse_{layout}")()

    norms = gradient_norms([gradient, torch.ones(4)], load_objects)
    np.testing.assert_allclose(norms, [5.0, 2.0], rtol=1e-6)


@LOADERS
def test_many_gradients_of_several_subclasses(load_objects) -> None:
    """Torch stacks no tensors of two subclasses."""

    class First(torch.Tensor):
        pass

    class Second(torch.Tensor):
        pass

    kinds = [torch.Tensor, First, Second] * 3
    gradients = [torch.full((3, 3), 2.0).as_subclass(kind) for kind in kinds]

    np.testing.assert_allclose(
        gradient_norms(gradients, load_objects), [6.0] * 9, rtol=1e-6
    )


@LOADERS
@pytest.mark.parametrize(
    "other", [lambda g: g.to_sparse(), lambda g: torch.complex(g, g), lambda g: g.half()]
)
def test_many_gradients_of_one_shape_and_of_any_layout(load_objects, other) -> None:
    """Torch cannot stack them all, so each of such gradients may be read alone."""
    gradients = [other(torch.full((3, 3), size)) for size in (0.5, 1.0, 2.0, 4.0, 8.0)]
    expected = [float(g.to_dense().abs().double().norm()) for g in gradients]

    np.testing.assert_allclose(gradient_norms(gradients, load_objects), expected, rtol=1e-3)


@LOADERS
def test_gradients_may_lie_in_memory_in_any_order(load_objects) -> None:
    """A norm does not depend on the order of dimensions; holes and repeats do not count."""
    torch.manual_seed(0)
    whole = torch.randn(6, 5, 4, 3)
    gradients = [
        whole.to(memory_format=torch.channels_last),
        whole.permute(3, 1, 0, 2),
        whole[:, :1],
        whole[:, ::2],
        whole[:1].expand(3, 5, 4, 3),
        whole.as_strided((2, 2, 2), (1, 1, 5)),  # as far as if it were dense
        whole[0, 0, 0, 0],
        whole[:, :0],
        whole.transpose(0, 3)[:1],
    ]
    expected = [float(g.double().norm()) for g in gradients]

    np.testing.assert_allclose(gradient_norms(gradients, load_objects), expected, rtol=1e-6)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Has torch compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 5])
@LOADERS
def test_large_gradients_are_as_exact_as_small_ones(load_objects, threads: int) -> None:
    """Of 2^24 elements, each reader is within two millionths of a sum in float64."""
    torch.manual_seed(0)
    for gradient in (torch.full((2**24,), 1 / 3), torch.randn(2**24) ** 3):
        norm = float(torch.linalg.vector_norm(gradient, dtype=torch.float64))
        with torch_threads(threads):
            (read,) = gradient_norms([gradient], load_objects)
        np.testing.assert_allclose(read, norm, rtol=2e-6)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@LOADERS
def test_each_element_of_a_large_gradient_counts_once(load_objects, threads: int) -> None:
    """Also where several threads divide sizes that have no equal parts."""
    sizes = [k * 2**15 + more for k in (1, 2, 3, 8) for more in (-1, 0, 1, 31, 33)]
    with torch_threads(threads):
        norms = gradient_norms([torch.ones(size) for size in sizes], load_objects)
        # The last 7 elements count, however many there are before them.
        ends = [torch.cat([torch.zeros(size), torch.ones(7)]) for size in sizes]
        ends = gradient_norms(ends, load_objects)

    np.testing.assert_allclose(norms**2, sizes, rtol=2e-6)
    np.testing.assert_allclose(ends**2, 7, rtol=2e-6)


@LOADERS
def test_gradients_are_found_by_references_to_parameters(load_objects) -> None:
    """A gradient of any kind is found, of a parameter that is gone there is none."""
    kinds = [
        lambda p: torch.full_like(p, 2.0),
        lambda p: torch.full_like(p, 2.0).to_sparse(),
        lambda p: None,
        lambda p: torch.full_like(p, 2.0).t(),
    ]
    parameters = [nn.Parameter(torch.zeros(3, 3)) for _ in range(6)]
    for parameter, kind in zip(parameters, kinds):
        parameter.grad = kind(parameter)
    parameters[4].grad = torch.full((3, 3), 2.0)
    references = [*map(weakref.ref, parameters), lambda: None]
    del parameters[4]
    norms = GradientNorms(load_objects)
    for _ in range(3):
        snapshot = norms.compute_of(references)
        assert snapshot.host_norms().tolist() == [6, 6, 0, 6, 0, 0, 0]
        assert snapshot.without_gradient.tolist() == [
            *(False, False, True, False),
            *(True, True, True),
        ]
    parameters[2].grad = torch.full((3, 3), 1 / 3)
    again = norms.compute_of(references)

    assert snapshot.host_norms()[2] == 0  # a later step does not change an earlier one
    np.testing.assert_allclose(again.host_norms()[2], 1, rtol=1e-7)


def test_finding_gradients_keeps_no_object_alive() -> None:
    """Machine code gives back each reference that it takes, and takes none for ever."""
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    other = nn.Parameter(torch.zeros(3))
    other.grad = torch.ones(3).to_sparse()
    references = [weakref.ref(parameter), weakref.ref(other), lambda: None]
    counted = (parameter, parameter.grad, other, other.grad, None, torch.Tensor)
    norms = GradientNorms()
    norms.compute_of(references)
    before = [sys.getrefcount(one) for one in counted]
    for _ in range(1000):
        norms.compute_of(references)
    after = [sys.getrefcount(one) for one in counted]

    assert all(abs(a - b) < 100 for a, b in zip(after, before))


def test_a_parameter_whose_gradient_raises_has_none_by_machine_code() -> None:
    """What the attribute raises reaches the monitor, as an error of Python."""

    class Raising:
        @property
        def grad(self) -> None:
            raise ValueError("of the user")

    raising, parameter = Raising(), nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    references = [weakref.ref(parameter), weakref.ref(parameter)]
    norms = GradientNorms()
    norms.compute_of(references)
    with pytest.raises(ValueError, match="of the user"):
        norms.compute_of([weakref.ref(raising), weakref.ref(parameter)])


def test_llvm_is_loaded_for_gradients_that_it_reads() -> None:
    """Gradients of other types, or on an accelerator, do not load LLVM."""
    loads = []

    def load_objects() -> None:
        loads.append(1)

    others = [torch.ones(3, dtype=torch.bfloat16), torch.ones(3, device="meta"), None]
    gradient_norms(others, load_objects)
    assert not loads
    gradient_norms([torch.ones(3)], load_objects)
    assert loads


def test_plans_do_not_fill_the_memory() -> None:
    """A training may leave other gradients out at each step, for ever."""
    norms, gradients = TorchNorms(), [torch.ones(3)] * 6
    for pattern in range(2, 64):
        given = [g if pattern >> k & 1 else None for k, g in enumerate(gradients)]
        norms.compute(given)
        assert len(norms._plans) < 10


def test_no_parameters_have_no_norms() -> None:
    """An empty list of gradients has an empty array of norms."""
    assert gradient_norms([]).shape == (0,)
