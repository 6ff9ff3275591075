"""What other programs are offered: tools, their inputs and their results."""
