"""Fixtures of the tests of logs."""

from helpers.logs import wandb_runs as wandb_runs
