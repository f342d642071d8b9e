"""Signals: what a step does with the gradients of a layer, beside their norm."""
