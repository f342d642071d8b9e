"""Records a tiny GPT-2 in Hugging Face's Trainer: writes gpt2.jsonl and gpt2.wav."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

import gradsound
from gradsound import TransformersCallback

set_seed(0)
model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=64,
        n_positions=16,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
)
# Sentences that count upwards, so that the loss can fall.
starts = torch.randint(64, (256, 1))
sentences = (starts + torch.arange(16)) % 64
trainer = Trainer(
    model,
    TrainingArguments(
        "gpt2",
        use_cpu=True,
        num_train_epochs=2,
        per_device_train_batch_size=8,
        learning_rate=0.01,
        max_grad_norm=1.0,
        logging_steps=1,
        logging_strategy="steps",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    ),
    train_dataset=[{"input_ids": row, "labels": row} for row in sentences],
    callbacks=[TransformersCallback(log="gpt2.jsonl", wav="gpt2.wav")],
)
trainer.train()

*_, last = gradsound.read_run("gpt2.jsonl").steps
print(f"{last.number + 1} steps, last loss {last.values['loss']:.3f}: hear gpt2.wav")
