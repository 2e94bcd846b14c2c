"""Measures of reward models and policies on material they have not seen."""
