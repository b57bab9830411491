"""What users get wrong: one table for each topic, all run by `test_bad_input.py`."""
