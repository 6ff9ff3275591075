"""Many questions from a file: bounded, durable, resumed after a kill, on one machine or on a Ray cluster."""
