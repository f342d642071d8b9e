"""Layers, norms and hooks: what is measured is what the optimizer applies."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from helpers.models import Tied, loss_of, sgd, small, train, true_norm
from helpers.monitors import BOTH, StepCollector, collector_for, small_collector
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint

from gradsound.errors import GradsoundWarning
from gradsound.measure.layers import check_types, find_layers
from gradsound.measure.norms import batched
from gradsound.measure.norms.batched import BatchedNorms

# Layers


def names(model: nn.Module, patterns: object = None) -> list[str]:
    return [layer.name for layer in find_layers(model, None, patterns)]


def test_layers_are_modules_with_parameters_of_their_own() -> None:
    """Names as named_modules, tied parameters once, frozen ones absent."""
    model = Tied()
    layers = find_layers(model, sgd(model), None)
    wanted = ["Tied", "embed", "body.a", "body.norm", "head"]

    assert [layer.name for layer in layers] == wanted
    assert [layer.size for layer in layers] == [1, 20, 20, 8, 5]
    assert set(wanted[1:]) < {name for name, _ in model.named_modules()}


def test_globs_select_layers() -> None:
    """One glob or several."""
    assert names(Tied(), "body.*") == ["body.a", "body.norm"]
    assert names(Tied(), ["head", "b*m"]) == ["body.norm", "head"]


def test_a_module_named_as_the_model_is_told_apart() -> None:
    """Names are different, always."""
    model = nn.Module()
    model.own = nn.Parameter(torch.ones(2))
    model.Module = nn.Linear(2, 2)

    assert names(model) == ["(Module)", "Module"]


def test_only_what_the_optimizer_trains_is_a_layer() -> None:
    """Parameters that another optimizer has are not this one's gradients."""
    model = small()
    layers = find_layers(model, sgd(model[2]), None)

    assert [layer.name for layer in layers] == ["2"]


@pytest.mark.parametrize(
    ("model", "optimizer", "error", "message"),
    [
        (nn.ReLU(), None, ValueError, "no parameter with requires_grad"),
        (
            small().requires_grad_(False),
            None,
            ValueError,
            "no parameter with requires_grad",
        ),
        (small(), sgd(small()), ValueError, "optimizer holds none of the model's"),
        (nn.LazyLinear(3), None, ValueError, "'LazyLinear' is lazy .* run one batch"),
    ],
)
def test_models_without_layers_are_refused(model, optimizer, error, message) -> None:
    """The message says what to do."""
    with pytest.raises(error, match=message):
        find_layers(model, optimizer, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((sgd(small()), small(), None), "model must be a torch Module, got SGD"),
        ((small(), small(), None), "optimizer must be a torch Optimizer or None, got Seq"),
        (
            (small(), None, sgd(small())),
            "scaler must be a torch GradScaler or None, got SGD",
        ),
    ],
)
def test_arguments_in_the_wrong_order_are_refused(arguments, message: str) -> None:
    """The message has the argument's name and what was given."""
    with pytest.raises(TypeError, match=message):
        check_types(*arguments)


# Norms


@pytest.fixture(params=["machine code", "torch"])
def _either_way(request, monkeypatch) -> None:
    """Small gradients are read by machine code where llvmlite is, else by torch."""
    assert batched._machine_code() is not None
    if request.param == "torch":
        monkeypatch.setattr(batched, "_machine_code", lambda: None)


def gradient_norms(gradients: object) -> np.ndarray:
    return BatchedNorms().take(gradients).on_host()


@pytest.mark.usefixtures("_either_way")
def test_norms_of_any_gradient() -> None:
    """Any dtype, size and layout; beyond float32's squares; NaN apart from inf."""
    inf, nan = float("inf"), float("nan")
    at, values = [[0, 0, 2]], [1.0, 2.0, 4.0]  # 3 at one place
    sparse = torch.sparse_coo_tensor(at, values, (5,), check_invariants=True)
    cases = [
        (torch.full((9,), 1 / 3), 1.0),
        (torch.full((100,), 1e3, dtype=torch.float16), 1e4),  # inf if summed in half
        (torch.full((10_001,), 3.0, dtype=torch.bfloat16), 300.014999625),
        (torch.full((1_000_000,), 1e3, dtype=torch.float16), 1e6),  # many equal ones
        (torch.full((1_000_003,), 1 / 3), np.sqrt(1_000_003) / 3),  # and a few left over
        (torch.full((1000, 1000), 1 / 3).t()[::2], np.sqrt(500_000) / 3),  # not in a row
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
    gradients, wanted = zip(*cases)  # a sum of 2048 equal floats is good to 2e-6

    np.testing.assert_allclose(gradient_norms(gradients), wanted, rtol=2e-6)
    for gradient, norm in cases:
        np.testing.assert_allclose(gradient_norms([gradient]), [norm], rtol=2e-6)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_many_small_gradients_of_one_shape(dtype: torch.dtype) -> None:
    """Of any size beside one another; and again, when others have none."""
    sizes = [1e-30, 1e-25, 1e-10, 1.0, 1e10, 1e20, 1e30, 0.0, float("inf"), float("nan")]
    gradients = [torch.full((3, 3), size, dtype=dtype) for size in sizes] * 5
    again = BatchedNorms()
    for absent in ((), (1, 7, 12), ()):
        given = [None if k in absent else g for k, g in enumerate(gradients)]
        wanted = [0.0 if g is None else 3 * float(g[0, 0]) for g in given]
        taken = again.take(given).on_host()
        np.testing.assert_allclose(taken, wanted, rtol=1e-6)
    before = [gradient.clone() for gradient in gradients]
    again.take(gradients)
    for gradient, was in zip(gradients, before):
        torch.testing.assert_close(gradient, was, rtol=0, atol=0, equal_nan=True)


@pytest.mark.usefixtures("_either_way")
def test_sizes_near_those_of_vectors() -> None:
    """Elements that fill no vector count, and those beyond the gradient do not."""
    sizes = [*range(1, 40), 4095, 4096, 4097, 16_384, 16_385]
    memory = [torch.rand(size + 32) for size in sizes]
    gradients = [one[16:-16] for one in memory]
    wanted = [float(g.double().norm()) for g in gradients]

    np.testing.assert_allclose(gradient_norms(gradients), wanted, rtol=1e-6)


@pytest.mark.usefixtures("_either_way")
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
def test_gradients_may_become_others(other) -> None:
    """Of another type, size or layout than at first, and then as before again."""
    gradients = [torch.rand(4, 4) for _ in range(6)]
    changed = [*gradients]
    changed[3] = other(gradients[3])
    again = BatchedNorms()
    for given in (gradients, changed, gradients):
        wanted = [float(g.detach().to_dense().abs().double().norm()) for g in given]
        with torch.no_grad():  # as hooks do
            taken = again.take(given).on_host()
        np.testing.assert_allclose(taken, wanted, rtol=1e-3)


def test_llvm_is_loaded_for_small_gradients_alone(monkeypatch) -> None:
    """A model on an accelerator has none to be read here, and large ones are torch's."""
    asked = []
    monkeypatch.setattr(batched, "_machine_code", lambda: asked.append(1))
    gradient_norms([torch.ones(20_000), torch.ones(3, device="meta"), None])
    assert not asked
    gradient_norms([torch.ones(3)])
    assert asked


def test_no_gradient_has_no_norm() -> None:
    """Not even an empty list fails."""
    assert gradient_norms([]).shape == (0,)


# Taps


@BOTH
@pytest.mark.parametrize("make", [small, Tied])
def test_norms_are_those_of_the_gradients(make, with_optimizer: bool) -> None:
    """Each step emits each layer's norm, as float64 arithmetic has it."""
    model = make()
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    wanted = []

    def note() -> None:
        seen: set[nn.Parameter] = set()
        squares = []
        for _, module in model.named_modules():
            own = set(module.parameters(recurse=False)) - seen
            own = [p for p in own if p.requires_grad]
            seen.update(own)
            if own:
                squares.append(sum(p.grad.double().square().sum().item() for p in own))
        wanted.append(np.sqrt(squares))

    train(model, optimizer, before_step=note)

    np.testing.assert_allclose(collector.norms, wanted, rtol=1e-6)


OPTIMIZERS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type)
    and issubclass(kind, torch.optim.Optimizer)
    and kind is not torch.optim.Optimizer
}


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_torch_is_heard(name: str, with_optimizer: bool) -> None:
    """Whatever steps, each step is one emission of the gradients it used."""
    torch.manual_seed(0)
    sparse = name == "SparseAdam"
    model = nn.Embedding(7, 3, sparse=sparse) if sparse else nn.Linear(3, 2, bias=False)
    optimizer = OPTIMIZERS[name](model.parameters(), lr=0.01)
    collector = collector_for(model, optimizer, with_optimizer)
    x = torch.tensor([0, 0, 4]) if sparse else torch.rand(8, 3)
    wanted = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        grad = model.weight.grad
        wanted.append([(grad.to_dense() if sparse else grad).double().norm().item()])

    np.testing.assert_allclose(collector.norms, wanted, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("keyword", [True, False])
def test_closures_are_heard_after_they_ran(with_optimizer: bool, keyword: bool) -> None:
    """With a closure, the gradients are those that it made during the step."""
    model, optimizer, collector = small_collector(with_optimizer)
    x = torch.rand(8, 3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure=closure) if keyword else optimizer.step(closure)

    assert len(collector.norms) == 3
    wanted = [true_norm(model[0]), true_norm(model[2])]
    np.testing.assert_allclose(collector.norms[-1], wanted, rtol=1e-6)


@BOTH
def test_reads_before_the_step(with_optimizer: bool) -> None:
    """Gradients that a hook after the step clears were read before."""
    model = small()
    optimizer = sgd(model)
    optimizer.register_step_post_hook(lambda *_: optimizer.zero_grad())
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)

    assert (np.array(collector.norms) > 0).all()


@BOTH
def test_clipped_gradients_are_heard_clipped(with_optimizer: bool) -> None:
    """The norms are those that the optimizer applies."""
    model, optimizer, collector = small_collector(with_optimizer)
    clip = lambda: nn.utils.clip_grad_norm_(model.parameters(), 1e-3)  # noqa: E731
    train(model, optimizer, 3, before_step=clip)

    np.testing.assert_allclose(np.linalg.norm(collector.norms, axis=1), 1e-3, rtol=1e-3)


@BOTH
def test_accumulation_is_one_step(with_optimizer: bool) -> None:
    """Several backward passes before a step are one emission, of their sum."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for _ in range(3):
        loss_of(model, data).backward()
    optimizer.step()

    np.testing.assert_allclose(
        collector.norms, [[true_norm(model[0]), true_norm(model[2])]]
    )


@BOTH
def test_a_subclass_that_calls_super_steps_once(with_optimizer: bool) -> None:
    """Torch fires the hooks of such an optimizer twice a step."""

    class Nested(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    model = small()
    optimizer = Nested(model.parameters(), lr=0.01)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 3)

    assert len(collector.norms) == 3


@BOTH
def test_a_step_that_failed_does_not_silence_the_next(with_optimizer: bool) -> None:
    """After an exception in a step, later steps are heard."""
    model, optimizer, collector = small_collector(with_optimizer)

    def fail() -> float:
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(fail)
    train(model, optimizer, 3)

    assert len(collector.norms) == 3


@BOTH
def test_layers_without_gradient_are_absent(with_optimizer: bool) -> None:
    """A layer that took no part has no norm, rather than 0."""
    model, optimizer, collector = small_collector(with_optimizer)
    model[2](torch.rand(2, 4)).sum().backward()
    optimizer.step()

    assert collector.absent == [[True, False]]
    assert np.isnan(collector.norms[0][0])


def test_no_visible_gradient_is_told_once() -> None:
    """Where a wrapper takes gradients away before the step, it is said in words."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer)

    def take_away() -> None:
        for parameter in model.parameters():
            parameter.grad = None

    with pytest.warns(GradsoundWarning, match="no gradient is visible at step 0: ") as told:
        train(model, optimizer, 3, before_step=take_away)

    assert len(told) == 1
    assert collector.absent == [[True, True]] * 3


def test_a_model_hears_any_optimizer_once() -> None:
    """Without an optimizer given, a batch ends at the first step that holds parameters."""
    model, other = small(), small()
    first, second, foreign = sgd(model[0]), sgd(model[2]), sgd(other)
    collector = StepCollector(model)
    loss_of(model, torch.Generator()).backward()
    foreign.step()
    assert not collector.norms
    first.step()
    second.step()
    assert collector.absent == [[False, False]]

    model[2](torch.rand(2, 4)).sum().backward()
    second.step()
    assert collector.absent[1:] == [[True, False]]  # what is old is not heard again


@BOTH
def test_close_removes_every_hook(with_optimizer: bool) -> None:
    """Afterwards nothing is emitted, and nothing is left anywhere."""
    from torch.optim import optimizer as module

    def hooks() -> list[int]:
        places = [
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
            module._global_optimizer_pre_hooks,
            module._global_optimizer_post_hooks,
            *(p._post_accumulate_grad_hooks or () for p in model.parameters()),
        ]
        return [len(place) for place in places]

    model = small()
    optimizer = sgd(model)
    before = hooks()
    collector = collector_for(model, optimizer, with_optimizer)
    assert sum(hooks()) > sum(before)
    train(model, optimizer, 1)
    collector.monitor.close()
    collector.monitor.close()
    train(model, optimizer, 1)

    assert hooks() == before
    assert len(collector.norms) == 1


@BOTH
def test_no_parameter_is_kept_alive(with_optimizer: bool) -> None:
    """A tap that is still held lets model and optimizer go."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 1)
    gone = [weakref.ref(model), weakref.ref(optimizer), weakref.ref(model[0].weight)]
    collector.layers = None
    del model, optimizer
    gc.collect()

    assert [ref() for ref in gone] == [None] * 3
    collector.monitor.close()


@BOTH
def test_copies_and_files_are_clean(with_optimizer: bool, tmp_path) -> None:
    """While attached, a model is copied and saved as ever, and its copy is not heard."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 1)
    twin = copy.deepcopy(model)
    torch.save(model, tmp_path / "model.pt")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    for other in (twin, loaded):
        train(other, sgd(other), 1)

    assert len(collector.norms) == 1


@BOTH
def test_an_error_in_a_hook_stays_there(with_optimizer: bool) -> None:
    """It ends the measuring with one warning that has the traceback; training goes on."""
    model, optimizer, collector = small_collector(with_optimizer)
    collector.monitor.queue.emit = lambda *_: 1 / 0
    with pytest.warns(
        GradsoundWarning, match="(?s)training goes on.*ZeroDivisionError"
    ) as told:
        train(model, optimizer, 3)

    assert len(told) == 1


def test_an_error_loses_no_step_before_it() -> None:
    """What was measured and waits to be emitted is emitted."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 1)
    collector.monitor._emit_at = float("inf")  # as where steps come fast
    train(model, optimizer, 4)
    collector.monitor._batched = None
    with pytest.warns(GradsoundWarning, match="an error ended the measuring"):
        train(model, optimizer, 2)

    assert [step.number for step in collector._steps] == [0, 1, 2, 3, 4]


def test_warnings_as_errors_do_not_reach_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where warnings are errors, as in this suite, the message goes to standard error."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer)
    collector.monitor.queue.emit = lambda *_: 1 / 0
    train(model, optimizer, 3)

    assert capsys.readouterr().err.count("ZeroDivisionError") == 1


@pytest.mark.parametrize("first", ["hooks", "attach"])
def test_optimizers_in_the_backward_pass_are_one_step(first: str) -> None:
    """One optimizer for each parameter, stepping as gradients come: one step a pass."""
    model, twin = small(), small()
    optimizers = {p: torch.optim.SGD([p], lr=0.01) for p in model.parameters()}

    def step(parameter: nn.Parameter) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    if first == "attach":
        collector = StepCollector(model)
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    if first == "hooks":
        collector = StepCollector(model)
    other = StepCollector(twin, optimizer := sgd(twin))
    data = torch.Generator().manual_seed(1)
    for _ in range(3):
        loss_of(model, data).backward()
    train(twin, optimizer, 3)

    np.testing.assert_allclose(collector.norms, other.norms, rtol=1e-6)


def test_a_backward_pass_that_fails_is_not_heard() -> None:
    """Nor does what it left behind get into the next one."""
    model = small()
    optimizers = {p: torch.optim.SGD([p], lr=0.01) for p in model.parameters()}
    fail = True

    def step(parameter: nn.Parameter) -> None:
        optimizers[parameter].step()
        if fail and parameter is model[0].weight:
            raise KeyError

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    collector = StepCollector(model)
    data = torch.Generator().manual_seed(1)
    with pytest.raises(KeyError):
        loss_of(model, data).backward()
    assert not collector.norms
    fail = False
    model.zero_grad()
    model[0](torch.ones(1, 3)).sum().backward()

    assert collector.absent == [[False, True]]


# torch.compile

COMPILED = pytest.mark.parametrize("attached", ["before", "after", "without an optimizer"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code
@COMPILED
def test_compiling_is_as_without(attached: str) -> None:
    """A compiled model and a compiled step have as many graphs, and the same norms."""
    torch._dynamo.reset()
    model = small()
    optimizer = sgd(model)
    forward, step = CompileCounter(), CompileCounter()
    fast = torch.compile(model, backend=forward, fullgraph=True)
    if attached == "before":
        collector = StepCollector(model, optimizer)
    elif attached == "after":
        collector = StepCollector(fast, optimizer)
    else:
        collector = StepCollector(fast)
    optimizer.step = torch.compile(optimizer.step, backend=step)
    train(fast, optimizer, 4)
    plain = small()
    other = StepCollector(plain, plain_optimizer := sgd(plain))
    train(plain, plain_optimizer, 4)

    assert (forward.frame_count, step.frame_count) == (1, 1)  # what torch has by itself
    assert [layer.name for layer in collector.layers] == ["0", "2"]
    np.testing.assert_allclose(collector.norms, other.norms, rtol=1e-5)


def test_a_compiled_layer_has_its_own_name() -> None:
    """What torch.compile puts into names is left out, also of parts and of the root."""
    model = nn.Sequential(torch.compile(nn.Linear(2, 2), backend="eager"), nn.Linear(2, 2))

    assert names(model) == ["0", "1"]
    assert names(torch.compile(model, backend="eager")) == ["0", "1"]
    assert names(torch.compile(nn.Linear(2, 2), backend="eager")) == ["Linear"]


@BOTH
@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(with_optimizer: bool, reentrant: bool) -> None:
    """Layers that are computed twice have one norm, the right one."""

    class Checkpointed(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.requires_grad_()
            return checkpoint(super().forward, x, use_reentrant=reentrant)

    torch.manual_seed(0)
    model = Checkpointed(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 1)

    assert len(collector.norms) == 1
    wanted = [true_norm(model[0]), true_norm(model[2])]
    np.testing.assert_allclose(collector.norms[0], wanted, rtol=1e-6)


def test_functional_calls_pass() -> None:
    """torch.func on an attached model is undisturbed and not heard."""
    model = small().requires_grad_()
    model[1] = nn.ReLU()
    collector = StepCollector(model, sgd(model)), StepCollector(model)
    parameters = dict(model.named_parameters())
    loss = lambda p, x: torch.func.functional_call(model, p, (x,)).square().mean()  # noqa: E731
    gradients = torch.func.grad(loss)(parameters, torch.rand(8, 3))

    assert set(gradients) == set(parameters)
    assert not collector[0].norms
    assert not collector[1].norms


# Mixed precision


def scaled(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    *,
    bad: tuple[int, ...] = (),
    unscale: bool = False,
) -> list[list[float]]:
    """Six steps under a scaler, some with an infinite loss; returns the true norms."""
    data = torch.Generator().manual_seed(1)
    wanted = []
    for number in range(6):
        optimizer.zero_grad()
        loss = loss_of(model, data)
        plain = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        pairs = plain[:2], plain[2:]
        wanted.append(
            [torch.cat([g.flatten() for g in pair]).norm().item() for pair in pairs]
        )
        scaler.scale(loss * (float("inf") if number in bad else 1.0)).backward()
        if unscale:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return wanted


SCALED = pytest.mark.parametrize("fused", [True, False])


@BOTH
@SCALED
@pytest.mark.parametrize("unscale", [True, False])
def test_loss_scale_is_not_in_the_norms(with_optimizer, fused: bool, unscale: bool) -> None:
    """Under a GradScaler the norms are the true ones, fused optimizer or not."""
    model = small()
    optimizer = sgd(model, fused=fused)
    collector = collector_for(model, optimizer, with_optimizer)
    wanted = scaled(model, optimizer, torch.amp.GradScaler("cpu"), unscale=unscale)

    np.testing.assert_allclose(collector.norms, wanted, rtol=1e-5)
    assert not any(step.skipped for step in collector.steps)
    if fused and not unscale:
        assert {step.scale for step in collector.steps} == {65536.0}


@BOTH
@SCALED
@pytest.mark.parametrize("unscale", [True, False])
def test_skipped_steps_are_steps(with_optimizer, fused: bool, unscale: bool) -> None:
    """What the scaler skips is emitted in its place, flagged; its norms are not finite."""
    model = small()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    collector = StepCollector(model, optimizer if with_optimizer else None, scaler)
    wanted = scaled(model, optimizer, scaler, bad=(1, 4), unscale=unscale)
    good = [0, 2, 3, 5]

    assert [step.skipped for step in collector.steps] == [k not in good for k in range(6)]
    assert [step.number for step in collector.steps] == list(range(6))
    assert collector.steps[1].nonfinite.all()
    np.testing.assert_allclose(
        [collector.norms[k] for k in good], np.array(wanted)[good], rtol=1e-5
    )
    if not (fused and unscale):  # there the scaler does not tell
        assert [collector.steps[k].scale for k in (1, 4)] == [65536.0, 32768.0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_closing_leaves_the_scaler_as_it_was(order: tuple[int, int]) -> None:
    """Two attachments may end in any order: the other hears on, then nothing is left."""
    model = small()
    optimizers = sgd(model[0]), sgd(model[2])
    scaler = torch.amp.GradScaler("cpu")
    collectors = [StepCollector(model, optimizer, scaler) for optimizer in optimizers]

    def skip() -> None:
        scaler.scale(loss_of(model, torch.Generator()) * float("inf")).backward()
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()

    first, last = order
    collectors[first].monitor.close()
    skip()
    collectors[last].monitor.close()
    assert "step" not in vars(scaler)
    skip()

    assert len(collectors[first].steps) == 0
    assert [step.skipped for step in collectors[last].steps] == [True]


def test_two_optimizers_of_one_scaler() -> None:
    """Each attachment hears the skips of its own optimizer alone."""
    model = small()
    first, second = sgd(model[0]), sgd(model[2])
    scaler = torch.amp.GradScaler("cpu")
    collectors = StepCollector(model, first, scaler), StepCollector(model, second, scaler)
    scaler.scale(loss_of(model, torch.Generator()) * float("inf")).backward()
    scaler.step(first)
    assert [len(collector.steps) for collector in collectors] == [1, 0]
    scaler.step(second)
    assert [len(collector.steps) for collector in collectors] == [1, 1]
    assert all(collector.steps[0].skipped for collector in collectors)
