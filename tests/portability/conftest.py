"""Being here puts this folder on the path: the tests below it share fault_checks.py."""
