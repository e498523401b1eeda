"""Cuts clips to the beat of a track."""

__version__ = "0.1.0"
