"""Annotated phrases, boxes and moments of published sets: readers, and the rows they become."""
