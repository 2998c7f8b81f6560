"""What each command of `feedbus` does, one file a command. The command line itself is read in feedbus/cli.py, which
imports a file of this package only when its command runs.
"""
