"""Renders finished runs: sound files, pictures, legends and notebook views."""
