"""What the tests of logs may ask for."""

from helpers.logs import wandb_runs as wandb_runs
