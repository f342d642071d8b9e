"""What each command does: a module of its name, with one function ``run``.

Each is imported when its command runs, so that no command waits for another's modules.
"""
