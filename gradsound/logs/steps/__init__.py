"""The steps of a log, sorted from its entries."""
