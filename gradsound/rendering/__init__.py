"""A finished run to its sound, picture, legend and notebook view."""
