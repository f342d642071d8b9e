"""PEFT: adapters around frozen layers, and another adapter in the middle."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from checked_case import RUN, Training, check, copies, watch
from helpers.oracle import true_norms
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel

import gradsound

TOKENS = torch.randint(0, 50, (4, 8), generator=torch.Generator().manual_seed(1))


def train(attached: bool, *, switch: bool = False, **options: object) -> Training:
    """Trains adapters of a tiny GPT-2 for six steps."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    config = LoraConfig(
        r=2,
        target_modules=["c_attn"],
        task_type="CAUSAL_LM",
        fan_in_fan_out=True,
        **options,
    )
    no_dropout = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
    model = get_peft_model(GPT2LMHeadModel(GPT2Config(**sizes, **no_dropout)), config)
    if switch:
        model.add_adapter("second", config)
    adapters = [p for name, p in model.named_parameters() if "lora" in name]
    optimizer = torch.optim.AdamW(adapters, lr=0.01)
    done = Training(raw=[])
    watch(model, optimizer, done)
    recording = gradsound.attach(model, optimizer, log=RUN) if attached else nullcontext()
    with recording:
        for step in range(6):
            if switch and step == 3:
                model.set_adapter("second")
            optimizer.zero_grad()
            model(input_ids=TOKENS, labels=TOKENS).loss.backward()
            done.raw.append(true_norms(model))
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)
            optimizer.step()
    done.weights = copies(model)
    return done


check("LoRA", train)
check("DoRA", partial(train, use_dora=True))
check("LoRA, set_adapter in the middle", partial(train, switch=True))
