"""The page that plays and shows a run in a browser, and the server of that page."""
