"""Pruning: weights or whole filters of a trained network are removed."""
