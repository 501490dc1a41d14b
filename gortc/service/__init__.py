"""Service logic: how plugins are found, how an instance reaches the stack, and calls as coroutines."""
