"""Callbacks for frameworks that own the loop; each module imports its framework."""
