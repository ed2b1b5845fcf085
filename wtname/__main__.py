from wtname.cli import run

run()
