"""gortcctl: the command line of whoever operates a server."""
