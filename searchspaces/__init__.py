"""The studies and search spaces that nowt ships, one file for each question.

The docstring of each file states the question, the papers, the expected result, the cost and the command. To write your
own study, start from a copy of one of them.
"""
