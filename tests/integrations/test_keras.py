"""KerasCallback in real fits of Keras on torch: the run holds what Keras applied."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from helpers.keras_models import Oracle, keras, sequential

import gradsound
from gradsound.integrations.keras import KerasCallback

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    # Keras's variables do not know the arguments of numpy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
]
X = np.random.default_rng(0).random((24, 3), dtype="float32")
Y = X.sum(1, keepdims=True)
LAYERS = ("sequential.dense", "sequential.batch_normalization", "sequential.dense_1")


def steps_of(path: str = "run.jsonl") -> list[gradsound.Step]:
    return [*gradsound.read_run(path).steps]


def fit(model: keras.Model, *callbacks: object, **options: object) -> None:
    usual = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(X, Y, callbacks=[*callbacks], **usual | options)


def compiled(**options: object) -> keras.Model:
    model, optimizer = sequential(**options)
    model.compile(optimizer=optimizer, loss="mse")
    return model


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(1 / 64, 3, 1 / 3)


def scheduled(_: float) -> keras.optimizers.Optimizer:
    """Returns an optimizer whose learning rate falls."""
    return keras.optimizers.RMSprop(SCHEDULE)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipnorm": 1 / 13},
        {"global_clipnorm": 1 / 13, "kind": keras.optimizers.SGD},
        {"clipvalue": 1 / 99, "use_ema": True},
        {"loss_scale_factor": 128.0, "clipnorm": 1 / 13},
        {"gradient_accumulation_steps": 3, "global_clipnorm": 1 / 13},
        {"kind": scheduled},
        {"loss_scale": 2.0**127, "clipnorm": 1 / 13},
        {"policy": "mixed_float16"},
    ],
    ids=" ".join,  # of the names of the options
)
def test_a_fit(options: dict[str, object]) -> None:
    """The run has the norms that Keras applies, those before clipping, loss, lr, epoch."""
    model = compiled(**options)
    with Oracle(model) as oracle:
        fit(model, KerasCallback())
    run = gradsound.read_run("run.jsonl")
    steps = [*run.steps]
    made = [step for step in steps if not step.skipped]
    accumulated = options.get("gradient_accumulation_steps", 1)

    assert run.header.layers == LAYERS
    assert len(steps) == len(oracle.applied) == 12 // accumulated
    expected = [[norms[name] for name in LAYERS] for norms in oracle.applied]
    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-4)
    assert [step.skipped for step in steps] == oracle.skipped
    if oracle.raw:
        expected = [[norms[name] for name in LAYERS] for norms in oracle.raw]
        np.testing.assert_allclose([step.raw for step in made], expected, rtol=1e-4)
    else:
        assert all(step.raw is None for step in steps)
    losses = [step.values["loss"] for step in steps]
    np.testing.assert_allclose(losses, oracle.losses, rtol=1e-6)
    rates = [step.values["lr"] for step in made]
    np.testing.assert_allclose(rates, oracle.rates, rtol=1e-6)
    half = len(steps) // 2
    assert [step.values["epoch"] for step in steps] == [0.0] * half + [1.0] * half


def test_steps_that_keras_skips() -> None:
    """A LossScaleOptimizer's skipped step has its scale, and gradients that overflow."""
    model = compiled(loss_scale=2.0**127)
    fit(model, KerasCallback())
    skipped = [step for step in steps_of() if step.skipped]

    assert 0 < len(skipped) < 12
    scales = [step.loss_scale for step in skipped]
    assert scales == [2.0 ** (127 - index) for index in range(len(skipped))]
    assert not all(np.isfinite(step.norms).all() for step in skipped)


@pytest.mark.parametrize(
    "options",
    [{}, {"clipnorm": 1 / 13, "gradient_accumulation_steps": 3}, {"loss_scale": 2.0**127}],
    ids=str,
)
def test_training_is_bit_identical(options: dict[str, object]) -> None:
    """With and without the callback, weights and gradients are equal to the last bit."""
    kept = []
    for callbacks in ((), (KerasCallback(),)):
        model = compiled(**options)
        fit(model, *callbacks)
        weights = [variable.value.detach() for variable in model.weights]
        gradients = [variable.value.grad for variable in model.trainable_variables]
        kept.append([*weights, *gradients])

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*kept))


def test_a_second_fit_counts_on() -> None:
    """Keras goes on counting updates, and so does the run, in the same file if asked."""
    model = compiled(gradient_accumulation_steps=2)
    fit(model, KerasCallback(resume=True))
    fit(model, KerasCallback(resume=True), epochs=1)
    fit(model, KerasCallback(), epochs=1)

    assert [step.number for step in steps_of("run.1.jsonl")] == [*range(9)]
    assert [step.number for step in steps_of()] == [9, 10, 11]


class Interrupting(keras.callbacks.Callback):
    """Interrupts a fit after three batches."""

    def on_train_batch_end(self, batch: int, **_: object) -> None:
        if batch == 2:
            raise KeyboardInterrupt


def test_an_interrupted_fit() -> None:
    """After close(), or once it trains again, files are whole and Keras is as it was."""
    model, callback = compiled(), KerasCallback()
    methods = {"scale_loss", "_clip_gradients", "_backend_update_step"}
    with pytest.raises(KeyboardInterrupt):
        fit(model, callback, Interrupting())
    assert methods <= vars(model.optimizer).keys()
    callback.close()
    assert not methods & vars(model.optimizer).keys()
    with pytest.raises(KeyboardInterrupt):
        fit(model, callback, Interrupting())
    fit(model, callback)

    lengths = [len(steps_of(f"run{number}.jsonl")) for number in (".1", ".2", "")]
    assert lengths == [3, 3, 12]
    assert not methods & vars(model.optimizer).keys()


def test_checkpoints_contain_nothing_of_it() -> None:
    """A model saved in a fit with the callback is the model saved in one without."""
    saved = []
    for callbacks in ((), (KerasCallback(),)):
        checkpoint = keras.callbacks.ModelCheckpoint("it.keras", save_freq=5)
        fit(compiled(), *callbacks, checkpoint)
        loaded = keras.saving.load_model("it.keras")
        saved.append([np.array(v) for v in (*loaded.weights, *loaded.optimizer.variables)])

    assert len(saved[0]) == len(saved[1])
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(*saved))


class Spoiling(keras.callbacks.Callback):
    """Gives gradsound a parameter that is none, before the fourth batch."""

    def __init__(self, callback: KerasCallback) -> None:
        super().__init__()
        self._callback = callback

    def on_train_batch_begin(self, batch: int, **_: object) -> None:
        if batch == 3 and self._callback._observed is not None:
            self._callback._observed._parameters.append(None)


def test_an_error_ends_the_measuring_only() -> None:
    """It is one warning; the steps before it are in the run, and Keras trains on."""
    model, callback = compiled(), KerasCallback()
    with pytest.warns(gradsound.GradsoundWarning) as warned:
        fit(model, callback, Spoiling(callback), epochs=1)
    ours = [str(w.message) for w in warned if w.category is gradsound.GradsoundWarning]

    assert int(model.optimizer.iterations) == 6
    assert len(steps_of()) == 3
    assert len(ours) == 1
    assert "an error ended the measuring; training goes on" in ours[0]


def test_a_loop_of_ones_own() -> None:
    """The callback records updates by the optimizer's apply() too; grads stay in place."""
    model, optimizer = sequential()
    model.compile(optimizer=optimizer)
    callback = KerasCallback()
    callback.set_model(model)
    with Oracle(model) as oracle:
        callback.on_train_begin()
        for x in torch.tensor(X).split(8):
            model.zero_grad()
            loss = model(x).square().mean()
            optimizer.scale_loss(loss).backward()
            grads = [variable.value.grad for variable in model.trainable_variables]
            with torch.no_grad():
                optimizer.apply(grads, model.trainable_variables)
        callback.on_train_end()
    expected = [[norms[name] for name in LAYERS] for norms in oracle.applied]

    assert len(expected) == 3
    np.testing.assert_allclose([step.norms for step in steps_of()], expected, rtol=1e-4)


def test_a_model_without_an_optimizer_is_refused() -> None:
    """The error names the model and compile()."""
    model, _ = sequential()
    callback = KerasCallback()
    callback.set_model(model)
    with pytest.raises(ValueError, match="'sequential' has no optimizer: compile"):
        callback.on_train_begin()


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the backend and the environment variable."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"Keras runs on jax.* set .* KERAS_BACKEND to"):
        KerasCallback()


def test_another_keras_is_refused() -> None:
    """If an optimizer lacks a method, the error names it and the version to install."""
    model = compiled()
    model.optimizer._clip_gradients = None
    with pytest.raises(TypeError, match=r"has no _clip_gradients\(\): install Keras 3\.15"):
        fit(model, KerasCallback())
    assert "scale_loss" not in vars(model.optimizer)


def test_a_loop_of_torch() -> None:
    """attach() finds Keras's layers with an optimizer of torch; weights stay the same."""
    kept = []
    for attached in (False, True):
        model, _ = sequential()
        optimizer = torch.optim.SGD(model.parameters(), lr=1 / 64)
        with gradsound.attach(model, optimizer) if attached else nullcontext():
            for x in torch.tensor(X).split(8):
                optimizer.zero_grad()
                model(x).square().mean().backward()
                optimizer.step()
        kept.append([p.detach() for p in model.parameters()])

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*kept))
    assert gradsound.read_run("run.jsonl").header.layers == LAYERS
    assert len(steps_of()) == 3
