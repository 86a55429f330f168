"""What Python users and the command line call: studies, runs, tables and plots."""
