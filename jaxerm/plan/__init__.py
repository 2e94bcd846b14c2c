"""Compiles the programs of a recipe for machines nobody here has, and says whether and how well they fit."""
