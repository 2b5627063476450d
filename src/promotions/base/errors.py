"""The one error that the user can mend."""


class InputError(ValueError):
    """Data, a column or a parameter is not what it has to be.

    The message is one line for the person at the keyboard: what is wrong, where, what was expected, what to do.
    Stage scripts print it and exit with status 2; any other error is a defect of this project and keeps its traceback.
    """
