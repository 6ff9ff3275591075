"""What models read and write: dialogues, tool calls, boxes, answers."""
