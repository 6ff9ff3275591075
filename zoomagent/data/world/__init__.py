"""The synthetic world: scenes, questions, pictures."""
