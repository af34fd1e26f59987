"""Scripts for what takes too long for the test suite: see the README beside this file.

Each script ends with exit code 0 if all held, and says what it saw.
"""
