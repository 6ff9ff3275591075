"""The command line: every command, and the options they share."""
