"""A script run as Python would, whose trainings are found and recorded."""
