"""Transformers: TransformersCallback with the Trainer, and with TRL's SFTTrainer."""

from __future__ import annotations

import sys
from functools import partial

import torch
from checked_case import RUN, Training, check, copies
from helpers.oracle import true_norms
from transformers import GPT2Config, GPT2LMHeadModel, TrainerCallback

import gradsound

TOKENS = torch.randint(0, 50, (24, 8), generator=torch.Generator().manual_seed(1)).tolist()


class Applied(TrainerCallback):
    """Adds the true norms to a training when the optimizer is about to step."""

    def __init__(self, done: Training) -> None:
        self._done = done

    def on_pre_optimizer_step(self, *_: object, **context: object) -> None:
        """Looks at the gradients, clipped by now."""
        self._done.applied.append(true_norms(context["model"]))


def train(attached: bool, *, trl: bool = False, **options: object) -> Training:
    """Trains a tiny GPT-2 for two epochs."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    tokens = {"bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **tokens, tie_word_embeddings=False))
    done = Training()
    rows = [{"input_ids": row, "labels": row} for row in TOKENS]
    options = {
        **{"output_dir": "out", "use_cpu": True, "report_to": "none", "seed": 1},
        **{"num_train_epochs": 2, "per_device_train_batch_size": 4, "disable_tqdm": True},
        "max_grad_norm": 0.1,  # less than the norm of every step
        **options,
    }
    callbacks = [gradsound.TransformersCallback(log=RUN)] if attached else []
    if trl:
        trainer = _sft_trainer(model, [{"input_ids": row} for row in TOKENS], options)
    else:
        from transformers import Trainer, TrainingArguments

        trainer = Trainer(model, TrainingArguments(**options), train_dataset=rows)
    for callback in (*callbacks, Applied(done)):
        trainer.add_callback(callback)
    if trainer.args.max_grad_norm:
        _observe_clipping(trainer.accelerator, model, done)
    trainer.train()
    done.weights = copies(model)
    return done


def _observe_clipping(accelerator: object, model: torch.nn.Module, done: Training) -> None:
    """Adds the true norms from before clipping to a training."""
    done.raw, clip = [], accelerator.clip_grad_norm_

    def observed_clip(*arguments: object, **options: object) -> torch.Tensor:
        done.raw.append(true_norms(model))
        return clip(*arguments, **options)

    accelerator.clip_grad_norm_ = observed_clip


def _sft_trainer(model: object, rows: list[dict[str, object]], options: dict) -> object:
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    words = {f"w{number}": number for number in range(50)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")),
        **{"eos_token": "w0", "pad_token": "w0", "unk_token": "w0"},
    )
    return SFTTrainer(
        model,
        args=SFTConfig(max_length=8, bf16=False, **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


trl = sys.argv[1:] == ["trl"]
what = "SFTTrainer" if trl else "Trainer"
check(what, partial(train, trl=trl))
check(f"{what}, not clipped", partial(train, trl=trl, max_grad_norm=0))
check(f"{what}, 3 batches a step", partial(train, trl=trl, gradient_accumulation_steps=3))
if not trl:
    check(f"{what}, bf16", partial(train, bf16=True))
