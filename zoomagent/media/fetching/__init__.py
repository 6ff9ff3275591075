"""Pictures by URL, from hosts that the user allowed."""
