"""What people see of a run: the saved page and the served one."""
