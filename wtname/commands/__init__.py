"""One command a file: parse, call, print. Each is imported when it is asked for."""
