"""What is wrong with the pictures, in one line."""


class DataError(ValueError):
    """Pictures that cannot be used: one line that names the file or folder and says what is expected."""
