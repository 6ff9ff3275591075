"""Rival procedures on our model, our prompts and our pixels: see the modules of this package.

Each is re-expressed from its published description, in our own words, so that the procedure alone is compared: who
wrote it first is named in its module, and where it differs from theirs, and why.
"""
