"""Hooks on optimizers, models, clipping and loss scaling: when a step is measured."""
