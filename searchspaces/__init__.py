"""The studies and search spaces that nowt ships, one file for each question.

The docstring of each file states the question, the papers, the expected result, the cost and the command. Copy a file as
a start for your own.
"""
