"""Rebuild the model that ships in wtname: one stage a file, each `python -m training.<stage> --help`."""
