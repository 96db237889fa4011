"""What the lab's programs and the tests in tests/vm share. Python's standard library only."""
