"""Callbacks for frameworks that own the training loop, one module for each framework."""
