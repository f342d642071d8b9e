"""The options of the commands, in the groups in which a command line loads them."""
