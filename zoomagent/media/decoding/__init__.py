"""Reading headers and pixels of files, in a process of its own."""
