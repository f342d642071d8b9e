"""States of Hugging Face's Trainer."""
