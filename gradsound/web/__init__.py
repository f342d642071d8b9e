"""The page on which a run is heard and seen in a browser, and what serves it."""
