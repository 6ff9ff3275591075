"""Published sets of questions, read as their authors publish them, and small drawn ones in the same formats."""
