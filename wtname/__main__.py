from wtname.cli import main

main(prog_name="wtname")
